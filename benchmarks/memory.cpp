// What pools cost: memory, and what an idle one takes of the CPUs.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "conversation.hpp"
#include "meter.hpp"
#include "procpool/procpool.hpp"
#include "work.hpp"
#include "works.hpp"

namespace bench {
namespace {

namespace pp = procpool;

constexpr int many = 100'000;

double memory_of_a_worker(int workers) {
  pp::process_pool_executor pool(workers);
  for (int i = 0; i < 1000; ++i) expect(pool.submit(next_of, i).get() == i + 1);
  double sum = 0;
  for (const pp::worker_stats& w : pool.stats().workers) sum += memory_of(w.pid);
  return sum / workers;
}

// Contenders that take memory of this process.
std::vector<entry> local_pools() {
  std::vector<entry> all = procpool_contenders();
  for (entry& e : thread_contenders()) all.push_back(std::move(e));
  return all;
}

void measure_each(runner& r, kept what, const char* id, const char* title) {
  if (!r.wanted(id)) return;
  std::vector<runner::candidate> all;
  for (const entry& e : local_pools()) {
    // In a program of its own, which has freed nothing that could be used again.
    all.push_back({e.name, [e, what] {
                     conversation program({"/proc/self/exe", "--memory", e.name,
                                           what == kept::pending ? "pending" : "unread"});
                     return std::stod(program.line(30).value_or("-1"));
                   }});
  }
  for (const entry& e : python_contenders()) {  // which is a program of its own
    all.push_back({e.name, [e, what] { return e.make(1)->memory_of_each(what, many); }});
  }
  r.sample({.work = id, .title = title, .parameter = "100,000 of them", .unit = "B"}, all);
}

struct idleness {
  double cpu = 0;
  double switches = 0;
};

idleness idle_for(double seconds) {
  const double cpu = session_cpu_of_others();
  const double switches = session_switches();
  const stopwatch all;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const double took = all.seconds();
  return {std::max(0.0, session_cpu_of_others() - cpu) / took,
          std::max(0.0, session_switches() - switches) / took};
}

}  // namespace

void tell_memory(const std::string& name, const std::string& what) {
  for (const entry& e : local_pools()) {
    if (e.name != name) continue;
    const std::unique_ptr<contender> who = e.make(1);
    std::printf("%g\n",
                who->memory_of_each(what == "pending" ? kept::pending : kept::unread, many));
    std::fflush(stdout);
    ::_exit(0);  // not by way of the pool's end: a task that has none is under way
  }
  std::puts("-1");
}

void measure_memory(runner& r, int cpus) {
  r.sample({.work = "memory_worker",
            .title = "memory of an idle worker (PSS)",
            .parameter = workers_text(cpus),
            .unit = "B"},
           {{"procpool", [cpus] { return memory_of_a_worker(cpus); }}});
  measure_each(r, kept::pending, "memory_task",
               "memory of a task that waits, and its future (an int to an int)");
  measure_each(r, kept::unread, "memory_future", "memory of an unread result and its future");
}

void measure_idle(runner& r, int cpus) {
  if (!r.wanted("idle") && !r.wanted("wakeups")) return;
  std::vector<runner::candidate> cpu, wakeups;
  std::vector<double> switches(r.entries().size(), not_done);
  for (std::size_t i = 0; i < r.entries().size(); ++i) {
    const entry& e = r.entries()[i];
    if (!e.make || !e.live) continue;  // only pools
    cpu.push_back({e.name, [e, cpus, &seen = switches[i]] {
                     const std::unique_ptr<contender> who = e.make(cpus);
                     who->warm_up();
                     std::this_thread::sleep_for(std::chrono::milliseconds(100));
                     const idleness found = idle_for(e.name == "procpool" ? 1 : 0.3);
                     seen = found.switches;
                     return found.cpu;
                   }});
    wakeups.push_back({e.name, [&seen = switches[i]] { return seen; }});
  }
  r.sample({.work = "idle",
            .title = "CPU that an idle pool takes",
            .parameter = workers_text(cpus),
            .unit = "CPU share"},
           cpu);
  r.sample({.work = "wakeups",
            .title = "how often an idle pool wakes up",
            .parameter = workers_text(cpus),
            .unit = "wake-ups/s"},
           wakeups);
}

}  // namespace bench
