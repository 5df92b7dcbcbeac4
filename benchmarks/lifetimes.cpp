// How pools begin and end, and what happens when a worker dies.
#include <chrono>
#include <deque>
#include <map>
#include <thread>
#include <vector>

#include "works.hpp"

namespace bench {
namespace {

// So long after a crash another one comes: a new spare worker has its chance, also where forking
// takes longer.
std::chrono::milliseconds between_crashes(bool large) {
  return std::chrono::milliseconds(large ? 500 : 100);
}

// Those whose own memory is that of this process; others are no larger for its sake.
bool lives_here(const entry& e) {
  return e.name == "procpool" || e.name == "fork and socketpair" || e.name == kill_and_waitpid;
}

std::vector<entry> contenders(const runner& r, bool large) {
  std::vector<entry> all;
  for (const entry& e : r.entries()) {
    if (!large || lives_here(e)) all.push_back(e);
  }
  return all;
}

void measure_lives(runner& r, const std::string& method, const std::string& suffix,
                   const std::string& parent) {
  // A life has a beginning and an end: both are sampled at once, and told one after the other.
  std::map<std::string, std::deque<double>> ends;
  std::vector<runner::candidate> starts, stops;
  for (const entry& e : contenders(r, !suffix.empty())) {
    if (!e.live) continue;
    starts.push_back({e.name, [&ends, e, method] {
                        const lifetime life = e.live(method);
                        if (life.start >= 0) ends[e.name].push_back(life.stop);
                        return life.start;
                      }});
    stops.push_back({e.name, [&left = ends[e.name]] {
                       if (left.empty()) return not_done;
                       const double end = left.front();
                       left.pop_front();
                       return end;
                     }});
  }
  row head{.work = "start" + suffix,
           .title = "a new pool of 2 workers, to its first result" + parent,
           .parameter = method,
           .unit = "s"};
  const int times = suffix.empty() ? 10 : 2;
  r.sample(head, starts, times);
  if (!suffix.empty()) return;
  head.work = "stop";
  head.title = "the end of an idle pool of 2 workers, until it is gone";
  r.sample(head, stops, times);
}

void measure_recovery(runner& r, const std::string& method, const std::string& suffix,
                      const std::string& parent) {
  std::vector<runner::candidate> all;
  for (const entry& e : contenders(r, !suffix.empty())) {
    if (!e.recover) continue;
    all.push_back({e.name, [e, method, pause = between_crashes(!suffix.empty())] {
                     std::this_thread::sleep_for(pause);
                     return e.recover(method);
                   }});
  }
  r.sample({.work = "recovery" + suffix,
            .title = "from SIGKILL for the only worker to the next result" + parent,
            .parameter = method,
            .unit = "s"},
           all, suffix.empty() ? 4 : 2);
}

}  // namespace

void measure_lifetimes(runner& r) {
  const std::vector<std::string> methods = {"fork", "forkserver", "spawn"};
  for (const std::string& method : methods) {
    if (r.wanted("start") || r.wanted("stop")) measure_lives(r, method, "", "");
  }
  for (const std::string& method : methods) measure_recovery(r, method, "", "");
  if (!r.wanted("start_large") && !r.wanted("recovery_large")) return;
  const std::vector<char> ballast(std::size_t{4} << 30U, 'x');
  const std::string parent = ", a parent of 4 GiB";
  for (const std::string& method : methods) measure_lives(r, method, "_large", parent);
  for (const std::string& method : methods) measure_recovery(r, method, "_large", parent);
}

}  // namespace bench
