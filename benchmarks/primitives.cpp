// What processes share: locks, queues, barriers, and objects of another process.
#include "primitives/primitives.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "works.hpp"

namespace bench {
namespace {

using samples = std::vector<double>;

primitives& primitives_in(contender& c) { return dynamic_cast<primitives&>(c); }

std::string processes(int n) { return std::to_string(n) + " processes"; }

std::string bytes_text(std::size_t bytes) {
  return bytes < 1024 ? std::to_string(bytes) + " B" : std::to_string(bytes / 1024) + " KiB";
}

std::vector<entry> primitive_contenders() {
  std::vector<entry> all;
  for (auto make :
       {ours, boost_primitives, posix_primitives, thread_primitives, python_primitives}) {
    for (entry& e : make()) all.push_back(std::move(e));
  }
  return all;
}

void compare_locks_alone(runner& r, const std::vector<entry>& all) {
  for (const held what : {held::mutex, held::semaphore}) {
    r.compare(
        {.id = "lock_alone",
         .title = "take and give back, in one process, without contention",
         .parameter = what == held::mutex ? "mutex" : "semaphore",
         .unit = "s/lock",
         .multiple = 1000,
         .run = [what](contender& c, int n, samples&) { return primitives_in(c).alone(what, n); }},
        all);
  }
}

void compare_contended_locks(runner& r, const std::vector<entry>& all) {
  for (const int parties : {2, 4}) {
    r.compare(
        {.id = "lock_contended",
         .title = "one mutex that several processes want: lock, count, unlock, compute for "
                  "100 ns",
         .parameter = processes(parties),
         .unit = "locks/s",
         .x = static_cast<double>(parties),
         .what = says::count_per_second,
         .multiple = 1000,
         .run = [parties](contender& c, int n,
                          samples&) { return primitives_in(c).contend(parties, n, nullptr); }},
        all);
  }
  for (const int parties : {2, 4}) {
    r.compare(
        {.id = "lock_wait",
         .title = "how long one of them takes to get the mutex",
         .parameter = processes(parties),
         .unit = "s/lock",
         .x = static_cast<double>(parties),
         .multiple = 1000,
         .run = [parties](contender& c, int n,
                          samples& each) { return primitives_in(c).contend(parties, n, &each); }},
        all);
  }
}

// Of a fixed number of locks, so that all have time enough to take turns.
void compare_shares(runner& r, const std::vector<entry>& all) {
  constexpr int n = 100'000;
  for (const int parties : {2, 4}) {
    std::vector<runner::candidate> candidates;
    for (const entry& e : all) {
      candidates.push_back({e.name, [e, parties] {
                              const std::unique_ptr<contender> c = e.make(parties);
                              primitives& who = primitives_in(*c);
                              return who.contend(parties, n, nullptr) < 0 ? not_done
                                                                          : who.least_share();
                            }});
    }
    r.sample({.work = "lock_share",
              .title = "how often the process that got the mutex least had it, of an equal share "
                       "of 100,000",
              .parameter = processes(parties),
              .unit = "share",
              .x = static_cast<double>(parties)},
             candidates, 3);
  }
}

void compare_turns(runner& r, const std::vector<entry>& all) {
  r.compare({.id = "lock_hand_over",
             .title = "a mutex goes to the other process, which waits for it",
             .parameter = processes(2),
             .unit = "s/lock",
             .multiple = 100,
             .run = [](contender& c, int n, samples&) { return primitives_in(c).hand_over(n); }},
            all);
  struct kind {
    signal_by by;
    const char* name;
  };
  for (const kind& k : {kind{signal_by::semaphores, "two semaphores"},
                        kind{signal_by::condition, "mutex and condition variable"},
                        kind{signal_by::events, "two events"}}) {
    r.compare({.id = "signal",
               .title = "two processes wake each other: round trip",
               .parameter = k.name,
               .unit = "s/round trip",
               .multiple = 50,
               .run = [by = k.by](
                          contender& c, int n,
                          samples& each) { return primitives_in(c).wake_each_other(by, n, each); }},
              all);
  }
  for (const int parties : {2, 4}) {
    r.compare({.id = "barrier",
               .title = "all parties come to a barrier",
               .parameter = processes(parties),
               .unit = "rounds/s",
               .x = static_cast<double>(parties),
               .what = says::count_per_second,
               .multiple = 50,
               .run = [parties](contender& c, int n,
                                samples&) { return primitives_in(c).meet(parties, n); }},
              all);
  }
}

void compare_queues(runner& r, const std::vector<entry>& all) {
  constexpr std::size_t sizes[] = {8, 1024, 65536};
  for (const int pairs : {1, 2}) {
    for (const std::size_t bytes : sizes) {
      r.compare(
          {.id = pairs == 1 ? "queue" : "queue_of_four",
           .title = pairs == 1 ? "items through a queue, from one process to another"
                               : "items through a queue, from 2 processes to 2",
           .parameter = bytes_text(bytes),
           .unit = "items/s",
           .x = static_cast<double>(bytes),
           .what = says::count_per_second,
           .multiple = 100,
           .run = [pairs, bytes](contender& c, int n,
                                 samples&) { return primitives_in(c).pass(pairs, bytes, n); }},
          all);
    }
  }
  for (const std::size_t bytes : sizes) {
    r.compare(
        {.id = "queue_round_trip",
         .title = "an item through a queue to another process, and back through another",
         .parameter = bytes_text(bytes),
         .unit = "s/round trip",
         .x = static_cast<double>(bytes),
         .multiple = 50,
         .run = [bytes](contender& c, int n,
                        samples& each) { return primitives_in(c).there_and_back(bytes, n, each); }},
        all);
  }
}

void compare_calls(runner& r, const std::vector<entry>& all) {
  for (const int clients : {1, 4}) {
    r.compare({.id = "manager_call",
               .title = "adding to a number that another process has, and hearing what it is now",
               .parameter = std::to_string(clients) + (clients == 1 ? " client" : " clients"),
               .unit = "s/call",
               .x = static_cast<double>(clients),
               .multiple = 100,
               .run = [clients](contender& c, int n,
                                samples& each) { return primitives_in(c).call(clients, n, each); }},
              all);
  }
}

}  // namespace

void compare_primitives(runner& r) {
  const std::vector<entry> all = primitive_contenders();
  compare_locks_alone(r, all);
  compare_contended_locks(r, all);
  compare_shares(r, all);
  compare_turns(r, all);
  compare_queues(r, all);
  compare_calls(r, all);
}

}  // namespace bench
