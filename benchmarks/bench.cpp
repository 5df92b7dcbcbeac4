// Every work against everybody who can do it, side by side: in each round the contenders take
// turns, so that a machine that is slower for a while is slower for all.
//
//   bench [--rounds N] [--seconds S] [--json FILE] [WORK ...]
//
// S is about how long one sample takes. Figures are printed by tools/bench_page.py.
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "meter.hpp"
#include "pooled.hpp"
#include "procpool/procpool.hpp"

namespace bench {
namespace {

namespace pp = procpool;

struct settings {
  int rounds = 5;
  double seconds = 0.2;
  std::string json = "results.json";
  std::set<std::string> only;  // empty: all works
};

// What a sample says, from how long n of it took.
enum class says { time_of_one, count_per_second, bytes_per_second, efficiency };

struct work {
  std::string id, title, parameter, unit;
  double x = 0;
  int workers = 2;
  says what = says::time_of_one;
  double scale = 1;  // bytes of one; for efficiency: seconds of one, on one CPU
  int most = 50'000'000;
  // n of it, by a contender; the time of each if there is any.
  std::function<double(contender&, int n, std::vector<double>& each)> run;
};

double figure(const work& w, int n, double seconds) {
  switch (w.what) {
    case says::time_of_one:
      return seconds / n;
    case says::count_per_second:
      return n / seconds;
    case says::bytes_per_second:
      return w.scale * n / seconds;
    case says::efficiency:
      return w.scale * n / seconds / w.workers;
  }
  return 0;
}

// So many that they take about the wanted time; 0: the contender does not do it.
int calibrate(const work& w, contender& c, double wanted) {
  std::vector<double> each;
  for (int n = 4;; n *= 4) {
    each.clear();
    const double took = w.run(c, std::min(n, w.most), each);
    if (took < 0) return 0;
    if (n >= w.most) return w.most;
    if (took >= wanted / 8) {
      const double scaled = n * wanted / took;
      return static_cast<int>(std::clamp(scaled, 1.0, static_cast<double>(w.most)));
    }
  }
}

class runner {
 public:
  explicit runner(settings s) : settings_(std::move(s)) {
    for (auto make :
         {procpool_contenders, thread_contenders, by_hand_contenders, python_contenders}) {
      for (entry& e : make()) entries_.push_back(std::move(e));
    }
  }

  bool wanted(const std::string& id) const {
    return settings_.only.empty() || settings_.only.contains(id);
  }

  void compare(const work& w) {
    if (!wanted(w.id)) return;
    std::fprintf(stderr, "%s, %s\n", w.id.c_str(), w.parameter.c_str());
    struct turn {
      std::unique_ptr<contender> who;
      int n;
      row r;
      std::vector<double> each, cpu;
    };
    std::vector<turn> turns;
    for (const entry& e : entries_) {
      std::unique_ptr<contender> who = e.make(w.workers);
      const int n = calibrate(w, *who, settings_.seconds);
      if (n == 0) continue;
      row r{w.id, w.title, w.parameter, w.unit, e.name, w.x, 0, -1, -1, {}, {}};
      turns.push_back({std::move(who), n, std::move(r), {}, {}});
    }
    for (int round = 0; round < settings_.rounds; ++round) {
      for (turn& t : turns) {
        const double cpu = session_cpu();
        const double took = w.run(*t.who, t.n, t.each);
        t.cpu.push_back((session_cpu() - cpu) / t.n);
        t.r.samples.push_back(figure(w, t.n, took));
      }
    }
    for (turn& t : turns) {
      t.r.median = median(t.r.samples);
      t.r.cpu = std::max(0.0, median(t.cpu));
      if (!t.each.empty()) {
        t.r.median = median(t.each);
        t.r.p99 = percentile(t.each, 99);
        for (const double p : {50.0, 90.0, 99.0, 99.9}) {
          t.r.percentiles.push_back(percentile(t.each, p));
        }
      }
      rows_.push_back(std::move(t.r));
    }
  }

  // What only procpool has, or what is no matter of tasks.
  void alone(row r, const std::function<double()>& sample) {
    if (!wanted(r.work)) return;
    std::fprintf(stderr, "%s, %s\n", r.work.c_str(), r.parameter.c_str());
    for (int i = 0; i < settings_.rounds; ++i) r.samples.push_back(sample());
    r.median = median(r.samples);
    if (r.contender.empty()) r.contender = "procpool";
    rows_.push_back(std::move(r));
  }

  void finish() const { write_json(settings_.json, rows_, settings_.rounds); }

 private:
  settings settings_;
  std::vector<entry> entries_;
  std::vector<row> rows_;
};

std::string workers_text(int n) { return std::to_string(n) + (n == 1 ? " worker" : " workers"); }

void compare_tasks(runner& r, int cpus) {
  for (const int workers : {1, cpus, 4 * cpus}) {
    r.compare({"round_trip", "empty task, submit to result, one at a time", workers_text(workers),
               "s/task", static_cast<double>(workers), workers, says::time_of_one, 1, 200'000,
               [](contender& c, int n, auto& each) { return c.round_trips(n, each); }});
  }
  for (const int workers : {1, cpus, 4 * cpus}) {
    r.compare({"window", "empty tasks, 1,024 in flight", workers_text(workers), "tasks/s",
               static_cast<double>(workers), workers, says::count_per_second, 1, 10'000'000,
               [](contender& c, int n, auto&) { return c.in_flight(n); }});
  }
  for (const int threads : {1, 2, 4, 8}) {
    r.compare({"submitters", "empty tasks, several threads submit",
               std::to_string(threads) + (threads == 1 ? " thread" : " threads"), "tasks/s",
               static_cast<double>(threads), cpus, says::count_per_second, 1, 10'000'000,
               [threads](contender& c, int n, auto&) {
                 return c.submit_from(threads, std::max(n, threads));
               }});
  }
  r.compare({"submit_only", "submit alone, nothing is read", workers_text(cpus), "s/task", 0, cpus,
             says::time_of_one, 1, 100'000,
             [](contender& c, int n, auto&) { return c.submit_only(n); }});
  r.compare({"as_completed", "100,000 futures, in order of completion", workers_text(cpus),
             "tasks/s", 0, cpus, says::count_per_second, 1, 100'000,
             [](contender& c, int n, auto&) { return c.as_completed(n); }});
  for (const double seconds : {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1}) {
    char text[32];
    std::snprintf(text, sizeof(text), "tasks of %g ms", seconds * 1e3);
    r.compare({"task_length", "tasks that compute: the share of the CPUs that is theirs", text,
               "efficiency", seconds, cpus, says::efficiency, seconds, 100'000,
               [seconds](contender& c, int n, auto&) { return c.tasks_of(seconds, n); }});
  }
}

void compare_loops(runner& r, int cpus) {
  r.compare({"map_small", "parallel for over small items", workers_text(cpus), "items/s", 0, cpus,
             says::count_per_second, 1, 10'000'000,
             [](contender& c, int n, auto&) { return c.small_items(n); }});
  for (const double seconds : {1e-6, 1e-5}) {
    char text[32];
    std::snprintf(text, sizeof(text), "items of %g us", seconds * 1e6);
    r.compare({"map_busy", "parallel for over items that compute", text, "items/s", seconds, cpus,
               says::count_per_second, 1, 1'000'000,
               [seconds](contender& c, int n, auto&) { return c.busy_items(seconds, n); }});
  }
}

void compare_payloads(runner& r, int cpus) {
  for (const std::size_t bytes :
       {std::size_t{8}, std::size_t{1} << 10U, std::size_t{64} << 10U, std::size_t{1} << 20U,
        std::size_t{16} << 20U, std::size_t{256} << 20U}) {
    char text[32];
    std::snprintf(text, sizeof(text), "%zu bytes", bytes);
    r.compare({"payload", "a value to a worker and back", text, "B/s", static_cast<double>(bytes),
               cpus, says::bytes_per_second, static_cast<double>(bytes), 100'000,
               [bytes](contender& c, int n, auto&) { return c.payloads(bytes, n); }});
  }
}

double first_result(pp::start_method method) {
  const stopwatch all;
  pp::process_pool_executor pool({.max_workers = 2, .start = method});
  expect(pool.submit(next_of, 1).get() == 2);
  return all.seconds();
}

int die() { return std::raise(SIGKILL); }

double next_result_after_a_crash(pp::process_pool_executor& pool) {
  pp::future<int> crash = pool.submit(die);
  crash.wait();
  const stopwatch all;
  expect(pool.submit(next_of, 1).get() == 2);
  return all.seconds();
}

void measure_processes(runner& r) {
  struct method {
    pp::start_method start;
    const char* name;
  };
  const method methods[] = {{pp::start_method::fork, "fork"},
                            {pp::start_method::forkserver, "forkserver"},
                            {pp::start_method::spawn, "spawn"}};
  std::vector<char> ballast;
  for (const char* suffix : {"", "_large"}) {
    if (*suffix != 0) {
      if (!r.wanted("start_large") && !r.wanted("recovery_large")) return;
      ballast.assign(std::size_t{4} << 30U, 'x');
    }
    const std::string parent = ballast.empty() ? "" : ", a parent of 4 GiB";
    for (const method& m : methods) {
      r.alone({"start" + std::string(suffix),
               "a new pool of 2 workers, to its first result",
               m.name + parent,
               "s",
               "",
               0,
               0,
               -1,
               -1,
               {},
               {}},
              [&] { return first_result(m.start); });
    }
    pp::process_pool_executor pool({.max_workers = 1});
    expect(pool.submit(next_of, 1).get() == 2);
    r.alone({"recovery" + std::string(suffix),
             "from the report of a SIGKILL to the next result, 1 worker",
             "spawn" + parent,
             "s",
             "",
             0,
             0,
             -1,
             -1,
             {},
             {}},
            [&] { return next_result_after_a_crash(pool); });
  }
}

void measure_memory(runner& r, int cpus) {
  const auto pss = [] { return memory_of(::getpid()); };
  r.alone({"memory_worker",
           "memory of an idle worker (PSS)",
           workers_text(cpus),
           "B",
           "",
           0,
           0,
           -1,
           -1,
           {},
           {}},
          [&] {
            pp::process_pool_executor pool(cpus);
            for (int i = 0; i < 1000; ++i) expect(pool.submit(next_of, i).get() == i + 1);
            double sum = 0;
            for (const pp::worker_stats& w : pool.stats().workers) sum += memory_of(w.pid);
            return sum / cpus;
          });
  r.alone({"memory_future",
           "memory of an unread future of an int",
           "100,000 of them",
           "B",
           "",
           0,
           0,
           -1,
           -1,
           {},
           {}},
          [&] {
            pp::process_pool_executor pool(1);
            expect(pool.submit(next_of, 1).get() == 2);
            constexpr int n = 100'000;
            std::vector<pp::future<int>> all;
            all.reserve(n);
            const double before = pss();
            for (int i = 0; i < n; ++i) all.push_back(pool.submit(next_of, i));
            for (auto& f : all) f.wait();
            return std::max(0.0, (pss() - before) / n);
          });
}

void measure_idle(runner& r, int cpus) {
  r.alone({"idle",
           "CPU that an idle pool takes",
           workers_text(cpus),
           "CPU share",
           "",
           0,
           0,
           -1,
           -1,
           {},
           {}},
          [&] {
            pp::process_pool_executor pool(cpus);
            expect(pool.submit(next_of, 1).get() == 2);
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            // Without this thread, which does nothing but look what the others take.
            const double before = session_cpu() - this_thread_cpu();
            const stopwatch all;
            std::this_thread::sleep_for(std::chrono::seconds(1));
            return std::max(0.0, session_cpu() - this_thread_cpu() - before) / all.seconds();
          });
}

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("--") && i + 1 == argc) {
      std::fprintf(stderr, "%s wants a value\n", argv[i]);
      std::exit(2);
    }
    if (word == "--rounds") {
      s.rounds = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--seconds") {
      s.seconds = std::atof(argv[++i]);
    } else if (word == "--json") {
      s.json = argv[++i];
    } else {
      s.only.insert(word);
    }
  }
  return s;
}

int run(int argc, char** argv) {
  // A session of our own: its processes are what we count. Pools that fork need one thread.
  ::setsid();
  const int cpus = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  runner r(parse(argc, argv));
  measure_processes(r);
  measure_memory(r, cpus);
  measure_idle(r, cpus);
  compare_tasks(r, cpus);
  compare_loops(r, cpus);
  compare_payloads(r, cpus);
  r.finish();
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run(argc, argv); }
