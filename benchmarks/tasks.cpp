// Tasks: empty ones, and such that compute for a known time.
#include <algorithm>
#include <cstdio>

#include "works.hpp"

namespace bench {
namespace {

std::string text_of(double seconds) {
  char text[32];
  if (seconds < 0.9e-3) {
    std::snprintf(text, sizeof(text), "tasks of %g us", seconds * 1e6);
  } else {
    std::snprintf(text, sizeof(text), "tasks of %g ms", seconds * 1e3);
  }
  return text;
}

}  // namespace

void compare_tasks(runner& r, int cpus) {
  // As many as CPUs last: contenders that stay serve for all that follows.
  for (const int workers : {1, 4 * cpus, cpus}) {
    r.compare({.id = "round_trip",
               .title = "empty task, submit to result, one at a time",
               .parameter = workers_text(workers),
               .unit = "s/task",
               .x = static_cast<double>(workers),
               .workers = workers,
               .most = 200'000,
               .run = [](contender& c, int n, auto& each) { return c.round_trips(n, each); }});
    r.compare({.id = "window",
               .title = "empty tasks, 1,024 in flight",
               .parameter = workers_text(workers),
               .unit = "tasks/s",
               .x = static_cast<double>(workers),
               .workers = workers,
               .what = says::count_per_second,
               .most = 10'000'000,
               .run = [](contender& c, int n, auto&) { return c.in_flight(n); }});
  }
  for (const int threads : {1, 2, 4, 8}) {
    r.compare({.id = "submitters",
               .title = "empty tasks, several threads submit to one pool",
               .parameter = std::to_string(threads) + (threads == 1 ? " thread" : " threads"),
               .unit = "tasks/s",
               .x = static_cast<double>(threads),
               .workers = cpus,
               .what = says::count_per_second,
               .most = 10'000'000,
               .multiple = threads,
               .run = [threads](contender& c, int n, auto&) { return c.submit_from(threads, n); }});
  }
  r.compare({.id = "submit_only",
             .title = "submit alone, nothing is read",
             .parameter = workers_text(cpus),
             .unit = "s/task",
             .workers = cpus,
             .most = 100'000,
             .run = [](contender& c, int n, auto&) { return c.submit_only(n); }});
  r.compare({.id = "as_completed",
             .title = "100,000 tasks at once, results in order of completion",
             .parameter = workers_text(cpus),
             .unit = "tasks/s",
             .workers = cpus,
             .what = says::count_per_second,
             .most = 100'000,
             .whole = 100'000,
             .run = [](contender& c, int n, auto&) { return c.as_completed(n); }});
  for (const double seconds :
       {5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1}) {
    r.compare({.id = "task_length",
               .title = "tasks that compute: the share of the CPUs that is theirs",
               .parameter = text_of(seconds),
               .unit = "efficiency",
               .x = seconds,
               .workers = cpus,
               .what = says::efficiency,
               .scale = seconds,
               .most = 100'000,
               .multiple = cpus,
               .run = [seconds](contender& c, int n, auto&) { return c.tasks_of(seconds, n); }});
  }
}

}  // namespace bench
