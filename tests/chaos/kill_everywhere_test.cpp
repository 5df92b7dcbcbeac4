// A worker dies at every instruction of the protocol, and each time the real sweep is run on the
// state that it leaves.
//
// The instructions are those that objdump lists for the functions of the worker's loop; whoever
// adds one that no scenario here reaches makes the test fail. The victim is a real worker under
// ptrace. Only memory outlives a worker, so a verdict is asked for whenever that has changed, and
// at each instruction when it is reached for the first time.
#ifdef __x86_64__

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "chaos/stepper.hpp"
#include "chaos/sweep_bench.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using shm::task_phase;
using shm::u32;
using shm::u64;
constexpr u32 victim = sweep_bench::victim, peer = sweep_bench::peer;

constexpr int longest_scenario = 400'000;  // steps

const std::vector<std::string> protocol = {
    "procpool::shm::work_source::",
    "procpool::shm::roster::",
    "procpool::shm::block_allocator::",
    "procpool::shm::arena_view::at",
    "procpool::worker::loop::",
    "procpool::worker::invoker::",
    "procpool::worker::result_blocks::",
    "procpool::worker::outcome_writer::",
    "procpool::worker::chunk_writer::",
    "procpool::worker::encode_current_exception",
    "procpool::os::futex_w",
    "procpool::os::(anonymous namespace)::wait(",
    "procpool::os::(anonymous namespace)::wake(",
};

const disassembly& program() {
  static const disassembly d(protocol);
  return d;
}

// What all scenarios have seen.
struct coverage {
  std::set<u64> visited;
  std::set<u64> spoiled;
  std::size_t steps = 0, verdicts = 0;
  static coverage& of_all() {
    static coverage c;
    return c;
  }
};

struct script {
  std::function<void(sweep_bench&)> prepare;
  // Before each step in the protocol.
  std::function<void(sweep_bench&, const stepper&)> meddle = nullptr;
  // True once the victim has nothing more to do; asked when it is about to sleep.
  std::function<bool(sweep_bench&)> over = [](sweep_bench& b) { return b.all_resolved(); };
  bool spoil = true;  // each compare-and-swap fails once
};

void play(sweep_bench& b, const script& s) {
  coverage& all = coverage::of_all();
  b.wait_until_quiet();
  b.freeze_peer();
  stepper it(b.victim_pid(), program());
  s.prepare(b);
  b.changed();
  std::string last;  // function of the protocol
  for (int n = 0; it.alive(); ++n) {
    ASSERT_LT(n, longest_scenario) << "the scenario does not end";
    const u64 at = it.position();
    const std::string* call = it.next_call();
    if (call != nullptr && *call == "pause") {
      it.kill();  // it waits for that
      break;
    }
    if (program().contains(at)) {
      const auto& what = program().instructions().at(at);
      last = what.function;
      const bool first = all.visited.insert(at).second;
      if (b.changed() || first) {
        ++all.verdicts;
        const std::string wrong = b.verdict();
        ASSERT_EQ(wrong, "") << "killed before: " << what.text << "\n  in " << what.function;
      }
      if (s.meddle) s.meddle(b, it);
      if (s.spoil && what.text.find("cmpxchg") != std::string::npos &&
          all.spoiled.insert(at).second) {
        it.spoil_comparison();
      }
    }
    const bool sleeps = call != nullptr && *call == "syscall" &&
                        (last.starts_with("procpool::os::(anonymous namespace)::wait") ||
                         last.starts_with("procpool::os::futex_wait"));
    if (sleeps && s.over(b)) break;
    it.step();
    ++all.steps;
  }
}

class kill_everywhere : public ::testing::Test {
 protected:
  kill_everywhere() : watchdog_(duration(100)) {}
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's instructions are not the protocol's";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "a sanitizer's instructions are not the protocol's";
#endif
#endif
  }

 private:
  watchdog watchdog_;
};

bool in(const stepper& s, const char* function) {
  const auto it = program().instructions().find(s.position());
  return it != program().instructions().end() &&
         it->second.function.starts_with(std::string("procpool::") + function);
}
bool at(const stepper& s, const char* function, const char* what) {
  return in(s, function) &&
         program().instructions().at(s.position()).text.find(what) != std::string::npos;
}

void plain_tasks_and_a_waiter() {
  for (const bool spoil : {false, true}) {
    sweep_bench b;
    b.replace_victim({});
    play(b, {.prepare =
                 [](sweep_bench& x) {
                   x.submit(1).set_flag(shm::waiter_flag);
                   x.submit(1, false, 1);
                   x.submit(1).set_flag(shm::waiter_flag);
                 },
             .spoil = spoil});
  }
}

void somebody_waits_for_many() {
  for (const bool spoil : {false, true}) {
    sweep_bench b;
    b.replace_victim({});
    parent::task_record* last = nullptr;
    play(b, {.prepare =
                 [&](sweep_bench& x) {
                   x.notify(x.submit(1));
                   x.notify(x.submit(1));
                   last = &x.submit(1);
                   x.arm_bell();
                 },
             .meddle =
                 [&](sweep_bench& x, const stepper& s) {
                   // Between its look at the flags and DONE.
                   u64 word = 0;
                   if (last == nullptr || !at(s, "worker::loop::publish", "cmpxchg")) return;
                   if (!last->load(word) || shm::phase_of(word) != task_phase::claimed) return;
                   x.notify(*std::exchange(last, nullptr));
                 },
             .spoil = spoil});
  }
}

// Blocks that come back late are looked at and left; one that is back is used again.
void large_results() {
  sweep_bench b;
  b.replace_victim({});
  int round = 0;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 for (int i = 0; i < 3; ++i) x.submit(40);
               },
           .over =
               [&](sweep_bench& x) {
                 if (!x.all_resolved()) return false;
                 if (++round > 3) return true;
                 if (round > 1) x.take_first();
                 x.submit(40);
                 return false;
               }});
}

void a_chunk_of_a_map() {
  for (const int retries : {0, 1}) {
    sweep_bench b;
    b.replace_victim({});
    play(b, {.prepare = [=](sweep_bench& x) { x.submit_map(3, 400, true, retries); }});
  }
}

void an_exception() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare = [](sweep_bench& x) { x.submit(1, true); }});
}

void a_kill_that_is_decided() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare = [](sweep_bench& x) { x.submit(1).set_flag(shm::waiter_flag); },
           .meddle =
               [](sweep_bench& x, const stepper& s) {
                 if (in(s, "worker::loop::publish")) x.decide_to_kill();
               }});
}

void a_hint_whose_task_was_cancelled() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare = [](sweep_bench& x) {
         x.submit(1);
         x.submit(1, false, 0, 100);  // its arguments do not fit the slot
         x.submit(1);
         x.cancel_first();
         x.cancel_last();
       }});
}

void the_last_task_of_a_life() {
  sweep_bench b;
  b.replace_victim({.tasks = 1});
  play(b, {.prepare = [](sweep_bench& x) {
         x.submit(1);
         x.submit(1);
       }});
}

// Looking: in vain twice, then skipped three times, then with success.
void looking_for_work() {
  sweep_bench b;
  b.replace_victim({.cpus = 2});
  int round = 0;
  bool found = false;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.peer_is_awake();
                 x.submit(1);
               },
           .meddle =
               [&](sweep_bench& x, const stepper& s) {
                 if (round < 2 || found || !x.all_resolved()) return;
                 if (!at(s, "shm::work_source::look", "pause")) return;
                 found = true;
                 x.submit(1);
               },
           .over =
               [&](sweep_bench& x) {
                 if (!x.all_resolved()) return false;
                 if (++round > 8) return true;
                 x.submit(1);
                 return false;
               }});
  EXPECT_TRUE(found);
}

void falling_asleep_when_work_comes() {
  for (const bool somebody_hot : {false, true}) {
    sweep_bench b;
    b.replace_victim({});
    bool done = false;
    play(b, {.prepare =
                 [=](sweep_bench& x) {
                   x.peer_is_awake();
                   x.submit(1);
                 },
             .meddle =
                 [&](sweep_bench& x, const stepper& s) {
                   // The last look found nothing; the bit that says "asleep" is set next.
                   if (done || !x.all_resolved()) return;
                   if (!at(s, "shm::work_source::sleep", "lock or") &&
                       !at(s, "shm::roster::set_asleep", "lock or")) {
                     return;
                   }
                   done = true;
                   if (somebody_hot) x.peer_is_hot();
                   x.submit(1);
                 }});
  }
}

// The peer is hot and does nothing: it is stopped. The victim is sentinel.
void watching_a_backlog() {
  for (const u32 usual : {0U, 100U}) {
    for (const bool awake : {false, true}) {
      sweep_bench b;
      b.replace_victim({});
      play(b, {.prepare = [=](sweep_bench& x) {
             if (awake) x.peer_is_awake();
             x.peer_is_hot();
             x.region().control().usual_ns.store(usual);
             x.submit(1);
             x.submit(1);
             x.submit(1);
           }});
    }
  }
}

// By its clock no time passes, so the backlog seems to be in good hands: longer and longer naps.
void watching_a_backlog_with_patience() {
  sweep_bench b;
  b.replace_victim({.short_tasks = true});
  int naps = 0;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.peer_is_hot();
                 x.region().control().usual_ns.store(100);
                 x.submit(1);
               },
           .over = [&](sweep_bench&) { return ++naps > 4; }});
}

void watching_nothing() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.region().control().roles.store((peer + 1) | (victim + 1) << 16U);
                 shm::roster(x.region()).wake(victim);
               },
           .over = [](sweep_bench& x) { return !shm::roster(x.region()).has_sentinel(); }});
}

void roles_that_are_taken_already() {
  sweep_bench b;
  b.replace_victim({});
  bool done = false;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.region().control().usual_ns.store(1'000'000);
                 x.submit(1);
                 x.submit(1);
                 x.submit(1);
                 // Its appointment by the second submit, taken back.
                 x.region().control().roles.store(victim + 1);
                 shm::roster(x.region()).set_asleep(peer);
               },
           .meddle =
               [&](sweep_bench& x, const stepper& s) {
                 // Appointed, and awake before it could be woken.
                 if (done || !in(s, "shm::roster::kick")) return;
                 if (!shm::roster(x.region()).is_sentinel(peer)) return;
                 x.peer_is_awake();
                 done = true;
               }});
}

void the_end_of_the_pool() {
  for (const int variant : {0, 1, 2}) {
    sweep_bench b;
    b.replace_victim({.short_tasks = true});
    const auto stop = [](sweep_bench& x) {
      x.region().control().stopping.store(1);
      shm::roster(x.region()).wake(victim);
    };
    bool stopped = false;
    play(b, {.prepare =
                 [&](sweep_bench& x) {
                   if (variant == 0) x.submit(1);
                   if (variant == 1) {
                     x.peer_is_hot();
                     x.region().control().usual_ns.store(100);
                     x.submit(1);
                   }
                   if (variant == 2) {
                     x.region().control().roles.store((peer + 1) | (victim + 1) << 16U);
                     stop(x);
                   }
                 },
             .meddle =
                 [&](sweep_bench& x, const stepper& s) {
                   if (stopped) return;
                   if (variant == 0 && x.all_resolved() && in(s, "shm::work_source::next")) {
                     x.submit(1);  // the last one, put before the flag
                     stop(x);
                     stopped = true;
                   }
                   if (variant == 1 && s.next_call() == nullptr && at(s, "os::futex_wait", "")) {
                     stop(x);
                     stopped = true;
                   }
                 },
             .over = [](sweep_bench&) { return false; }});
  }
}

// The same with a real SIGKILL, the pool's own sweep, and the worker that takes the dead one's
// place.
TEST_F(kill_everywhere, killed_for_real) {
  sweep_bench b(1);
  std::set<std::string> places;
  constexpr int kills = 100, stride = 7;
  for (int k = 0; k < kills; ++k) {
    b.wait_until_quiet();
    const pid_t pid = b.victim_pid();
    stepper it(pid, program());
    b.submit(1).set_flag(shm::waiter_flag);
    b.submit(k % 2 == 0 ? 1 : 40);
    for (int left = k * stride; left > 0 && it.alive(); it.step()) {
      const std::string* call = it.next_call();
      if (call != nullptr && *call == "syscall" && b.all_resolved()) break;
      if (program().contains(it.position())) --left;
    }
    if (program().contains(it.position())) {
      places.insert(program().instructions().at(it.position()).function);
    }
    const std::vector<sweep_bench::fate> fates = b.fates();
    it.kill();
    b.wait_for_successor(pid);
    ASSERT_EQ(b.settle_for_real(fates), "") << "after " << k * stride << " instructions";
  }
  EXPECT_GT(places.size(), 5U);
}

// Instructions that no scenario reaches, and why that is right. `most`: how many of the function.
struct exemption {
  const char* function;
  std::size_t most;
  const char* reason;
};
#if defined(__clang__) || !defined(__OPTIMIZE__)
constexpr bool exact = false;  // other compilers put other functions in line
#else
constexpr bool exact = true;
#endif
constexpr std::size_t all_of_it = 10'000;
const char* const parents = "only the parent runs it";
const char* const inlined = "a copy out of line: the loop has its own in place";
const char* const memory =
    "no memory: what is thrown is the outcome of the task like any exception";
const char* const growing = "private books of the worker, which die with it";
const exemption exempt[] = {
    {"os::futex_wait(std::atomic<unsigned long>", all_of_it, parents},
    {"os::futex_wait(std::atomic<unsigned int>", 5, "a signal's handler, or an invalid address"},
    {"os::futex_wait_until", all_of_it, parents},
    {"shm::roster::wake_all", all_of_it, parents},
    {"shm::roster::kick", 3, "no hot worker: only the parent kicks then"},
    {"shm::roster::drop_roles", 4, "a sentinel that is hot: seize_hot gives one up for the other"},
    {"shm::roster::drop(", all_of_it, inlined},
    {"shm::work_source::look", 4, "a hot worker that is sentinel: the same"},
    {"shm::roster::clear_asleep", all_of_it, inlined},
    {"shm::roster::set_asleep", all_of_it, inlined},
    {"shm::roster::seize_hot", all_of_it, inlined},
    {"shm::roster::take", all_of_it, inlined},
    {"shm::roster::wake", all_of_it, inlined},
    {"shm::work_source::stopping", all_of_it, inlined},
    {"shm::work_source::sleep", 3, "another worker has become sentinel in between"},
    {"shm::work_source::work_source", all_of_it, "before the loop: the first claim is later"},
    {"shm::arena_view::at", 61, growing},
    {"shm::block_allocator::allocate", 44, growing},
    {"shm::block_allocator::back", 18, memory},
    {"shm::block_allocator::capacity_of", all_of_it, inlined},
    {"shm::block_allocator::release", 68, growing},
    {"worker::loop::run", 18, "the way into the loop: the victim is in it when it is caught"},
    {"worker::chunk_writer::finish_chunk", 1, "a chunk without any outcome: see run_chunk"},
    {"worker::encode_current_exception", 6, memory},
    {"worker::invoker::payload", all_of_it, inlined},
    {"worker::invoker::resolve", all_of_it, inlined},
    {"worker::invoker::run_chunk", 50, "a function that is not found: all items get its exception"},
    {"worker::invoker::run_task", 14, memory},
    {"worker::outcome_writer::grow", 10, growing},
    {"worker::outcome_writer::~outcome_writer", 10, memory},
    {"worker::result_blocks::lend", 24, growing},
    {"worker::result_blocks::take", 18, growing},
};

TEST_F(kill_everywhere, the_sweep_after_each_instruction) {
  const std::pair<const char*, void (*)()> scenarios[] = {
      {"plain_tasks_and_a_waiter", &plain_tasks_and_a_waiter},
      {"somebody_waits_for_many", &somebody_waits_for_many},
      {"large_results", &large_results},
      {"a_chunk_of_a_map", &a_chunk_of_a_map},
      {"an_exception", &an_exception},
      {"a_kill_that_is_decided", &a_kill_that_is_decided},
      {"a_hint_whose_task_was_cancelled", &a_hint_whose_task_was_cancelled},
      {"the_last_task_of_a_life", &the_last_task_of_a_life},
      {"looking_for_work", &looking_for_work},
      {"falling_asleep_when_work_comes", &falling_asleep_when_work_comes},
      {"watching_a_backlog", &watching_a_backlog},
      {"watching_a_backlog_with_patience", &watching_a_backlog_with_patience},
      {"watching_nothing", &watching_nothing},
      {"roles_that_are_taken_already", &roles_that_are_taken_already},
      {"the_end_of_the_pool", &the_end_of_the_pool},
  };
  for (const auto& [name, run] : scenarios) {
    SCOPED_TRACE(name);
    run();
    if (HasFatalFailure()) return;
  }
  const coverage& all = coverage::of_all();
  std::map<std::string, std::vector<u64>> missed;
  for (const auto& [address, what] : program().instructions()) {
    if (all.visited.count(address) == 0) missed[what.function].push_back(address);
  }
  std::size_t exempted = 0;
  for (const auto& [function, addresses] : missed) {
    const auto* const e =
        std::find_if(std::begin(exempt), std::end(exempt), [&](const exemption& x) {
          return function.starts_with(std::string("procpool::") + x.function);
        });
    const std::size_t most = e == std::end(exempt) ? 0 : e->most;
    exempted += addresses.size();
    std::string list;
    for (const u64 a : addresses) list += "\n    " + program().instructions().at(a).text;
    if (std::getenv("PROCPOOL_SHOW_MISSED") != nullptr) {
      std::cout << addresses.size() << " not reached in " << function << ":" << list << "\n";
    }
    if (!exact) continue;
    EXPECT_LE(addresses.size(), most) << "not reached in " << function << ":" << list;
  }
  std::cout << program().instructions().size() << " instructions: " << all.visited.size()
            << " killed at, " << exempted << " exempt; " << all.steps << " steps, " << all.verdicts
            << " verdicts\n";
}

}  // namespace

#endif  // __x86_64__
