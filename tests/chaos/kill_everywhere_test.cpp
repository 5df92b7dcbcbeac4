// A worker dies at every instruction of the protocol, and each time the real sweep is run on the
// state that it leaves.
//
// The instructions are what the worker's loop can reach, by the disassembly of this program,
// without crossing one of the boundaries below; an added instruction that no scenario here
// executes makes the test fail, wherever it is. The victim is a real worker under ptrace. Only
// memory outlives a worker, so a verdict is asked for whenever that has changed, and at each
// instruction when it is reached for the first time.
//
// PROCPOOL_SHOW_MISSED=1 prints what is not executed, as the list of exemptions wants it.
#ifdef __x86_64__

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "chaos/disassembly.hpp"
#include "chaos/exemptions.hpp"
#include "chaos/stepper.hpp"
#include "chaos/sweep_bench.hpp"
#include "shm/dispatch.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using shm::task_phase;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;
constexpr u32 victim = sweep_bench::victim, peer = sweep_bench::peer;

// What is said of single functions holds for one compiler: others put other functions in line. Then
// only the share of what is left out is compared.
#if defined(PROCPOOL_KNOWN_CODE) && !defined(__clang__) && __GNUC__ == 12 && __GNUC_MINOR__ == 2
constexpr bool exact = true;
#else
constexpr bool exact = false;
#endif

constexpr int longest_scenario = 400'000;  // steps

// Where the worker's own code begins: in the loop, and in what the loop calls by address, which is
// made from templates for each task function.
const std::vector<std::string> roots = {"procpool::worker::loop::run(",
                                        "procpool::detail::thunks<"};

// Where it ends. There a death leaves what it leaves at the call: nothing else reaches the region.
const char* const private_memory = "it touches nothing but this process's own memory";
const char* const free_memory =
    "it touches free blocks, which no task refers to, and this process's own books of them";
const char* const users = "the function and the types of the user";
const std::vector<boundary> boundaries = {
    {"procpool::testing::", users},
    {"procpool::detail::(anonymous namespace)::resolve(", private_memory},
    {"procpool::wire::(anonymous namespace)::put_", private_memory},
    {"procpool::detail::wire<procpool::testing::numbers>::take(", private_memory},
    {"procpool::worker::(anonymous namespace)::leave_if_disowned(",
     "asks whose the descriptors are, and ends the worker if they are not its own any more"},
    {"procpool::worker::loop::maintain(", free_memory},
    {"procpool::worker::growth_limit::is_exceeded(", "reads how much memory this process has"},
    {"procpool::worker::leave_disowned(", "ends a worker whose descriptors a task has closed"},
    {"procpool::os::leave_process(", "ends the process"},
    {"procpool::shm::block_allocator::trim_all(", free_memory},
    {"procpool::shm::block_allocator::take_trimming(", free_memory},
    {"procpool::shm::block_allocator::punch(", free_memory},
    {"procpool::os::is_little_memory(", "reads what the machine says of its memory"},
    {"procpool::error::", "an exception's own functions"},
    {"procpool::worker::worker_registry::", shared_objects},
    {"procpool::worker::outcome_writer::note(", shared_objects},
    {"procpool::worker::chunk_writer::note(", shared_objects},
    {"procpool::worker::outcome_writer::append_objects(", shared_objects},
    {"procpool::worker::outcome_writer::forget_objects(", shared_objects},
    {"procpool::worker::chunk_writer::append_objects(", shared_objects},
    {"procpool::detail::heap_writer::", private_memory},
    {"procpool::detail::wire_buffer::", private_memory},
};

disassembly& listing() {
  static disassembly d;
  return d;
}
const reachable_code& protocol() {
  static const reachable_code c = [] {
    reachable_code found(listing(), roots, boundaries);
    listing().forget_all_but(found);
    return found;
  }();
  return c;
}
// Of the protocol's instructions and all functions.
const disassembly& program() {
  protocol();
  return listing();
}
const std::string& text_at(address a) { return program().instructions().at(a).text; }
const std::string& function_at(address a) { return program().function_of(a).name; }

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
  std::function<void(sweep_bench&)> prepare = nullptr;
  // Before each step in the protocol.
  std::function<void(sweep_bench&, const stepper&)> meddle = nullptr;
  // True once the victim has nothing more to do; asked when it is about to sleep.
  std::function<bool(sweep_bench&)> over = [](sweep_bench& b) { return b.all_resolved(); };
  bool spoil = true;  // each compare-and-swap fails once
  // Whether a verdict is asked for whenever memory has changed, or only at what is new.
  bool each_change = true;
  // Before the victim is caught.
  std::function<void(sweep_bench&)> warm_up = nullptr;
  bool from_birth = false;  // the victim is caught before it enters the loop
  // Of a library function and its caller: 0, or the error with which it fails.
  std::function<int(const std::string& call, const std::string& caller)> fault = nullptr;
};

address entry_of(const char* function) {
  for (const auto& [entry, f] : program().functions()) {
    if (f.name.starts_with(function) && !f.is_cold()) return entry;
  }
  throw std::runtime_error(std::string("no function ") + function);
}

void play(sweep_bench& b, const script& s) {
  coverage& all = coverage::of_all();
  b.wait_until_quiet();
  if (s.from_birth) b.stop_a_new_victim();
  b.freeze_peer();
  if (s.warm_up) s.warm_up(b);
  stepper it(b.victim_pid(), program(), protocol());
  if (s.from_birth) {
    b.let_it_in();
    it.run_to(entry_of("procpool::worker::loop::run("));
  }
  if (s.prepare) s.prepare(b);
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
    if (protocol().contains(at)) {
      last = function_at(at);
      const bool first = all.visited.insert(at).second;
      if (first || (s.each_change && b.changed())) {
        ++all.verdicts;
        const std::string wrong = b.verdict();
        ASSERT_EQ(wrong, "") << "killed before: " << text_at(at) << "\n  in " << last;
      }
      if (s.meddle) s.meddle(b, it);
      if (s.spoil && text_at(at).find("cmpxchg") != std::string::npos &&
          all.spoiled.insert(at).second) {
        it.spoil_comparison();
      }
    }
    const bool sleeps = call != nullptr && *call == "syscall" &&
                        (last.starts_with("procpool::os::(anonymous namespace)::wait") ||
                         last.starts_with("procpool::os::futex_wait"));
    if (sleeps && s.over(b)) break;
    const int error = call != nullptr && s.fault ? s.fault(*call, last) : 0;
    if (error != 0) {
      it.fail_call(error);
    } else {
      it.step();
    }
    ++all.steps;
  }
}

class kill_everywhere : public ::testing::Test {
 protected:
  kill_everywhere() : watchdog_(duration(570)) {}
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
  return protocol().contains(s.position()) &&
         function_at(s.position()).starts_with(std::string("procpool::") + function);
}
bool at(const stepper& s, const char* function, const char* what) {
  return in(s, function) && text_at(s.position()).find(what) != std::string::npos;
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
                   x.arm_doorbell();
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
    play(b, {.prepare = [=](sweep_bench& x) {
           x.submit_map(3, 330, sweep_bench::failing::last, retries);
         }});
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

void tasks_with_limits() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare = [](sweep_bench& x) {
         x.submit(1, false, 0, 0, 1h);
         x.submit(1);
         x.submit(40, true, 1, 100, 1h);
         x.submit_map(1, 330, sweep_bench::failing::none, 1, 1h);
       }});
}

void a_limit_that_is_over() {
  for (const int retries : {0, 1}) {
    sweep_bench b;
    b.replace_victim({});
    play(b, {.prepare =
                 [=](sweep_bench& x) {
                   x.submit(1, false, retries, 0, 1h).set_flag(shm::waiter_flag);
                 },
             .meddle =
                 [](sweep_bench& x, const stepper& s) {
                   if (in(s, "worker::loop::publish")) x.limit_is_over();
                 }});
  }
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

// Looking: twice without success, then skipped three times, then with success.
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
                 if (!at(s, "shm::work_source::spin", "pause")) return;
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

// Each look finds the next task at once, so it tries whether it pays to let some gather: first it
// does not, then it does, and then not any more.
void tasks_that_stream() {
  sweep_bench b;
  b.replace_victim({.cpus = 2});
  int tries = 0, looks = 0;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.peer_is_awake();
                 x.submit(1);
               },
           .meddle =
               [&](sweep_bench& x, const stepper& s) {
                 if (tries == 3 || looks == 500 || !x.all_resolved()) return;
                 if (at(s, "shm::work_source::gather", "pause")) {
                   if (++tries == 2) {
                     for (int i = 0; i < 8; ++i) x.submit(1);
                   }
                 } else if (at(s, "shm::work_source::spin", "pause")) {
                   ++looks;
                   x.submit(1);
                 }
               },
           .each_change = false});
  EXPECT_EQ(tries, 3);
  EXPECT_GT(looks, 40);
}

void falling_asleep_when_work_comes() {
  enum class others { none, one_hot, one_hot_and_watching };
  for (const others now : {others::none, others::one_hot, others::one_hot_and_watching}) {
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
                   // It is about to watch, and the other one does already.
                   if (done && now == others::one_hot_and_watching &&
                       at(s, "shm::work_source::sleep", "cmpxchg")) {
                     x.set_roles(peer, peer);
                   }
                   // The last look found nothing; the bit that says "asleep" is set next.
                   if (done || !x.all_resolved()) return;
                   if (!at(s, "shm::work_source::sleep", "lock or") &&
                       !at(s, "shm::roster::set_asleep", "lock or")) {
                     return;
                   }
                   done = true;
                   if (now != others::none) x.peer_is_hot();
                   x.submit(1);
                 }});
  }
}

// The peer has the spinning role and does nothing: it is stopped. The victim is the watchdog.
void watching_a_backlog() {
  for (const u32 usual : {0U, 100U}) {
    for (const bool awake : {false, true}) {
      sweep_bench b;
      b.replace_victim({});
      play(b, {.prepare = [=](sweep_bench& x) {
             if (awake) x.peer_is_awake();
             x.peer_is_hot();
             x.region().control().typical_task_ns.store(usual);
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
                 x.region().control().typical_task_ns.store(100);
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
           .over = [](sweep_bench& x) { return !shm::roster(x.region()).has_watchdog(); }});
}

void roles_that_are_taken_already() {
  sweep_bench b;
  b.replace_victim({});
  bool done = false;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.region().control().typical_task_ns.store(1'000'000);
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
                 if (done || !in(s, "shm::roster::appoint")) return;
                 if (!shm::roster(x.region()).is_watchdog(peer)) return;
                 x.peer_is_awake();
                 done = true;
               }});
}

void the_first_task_of_a_life() {
  sweep_bench b(2, true);
  play(b, {.prepare = [](sweep_bench& x) { x.submit(1); }, .from_birth = true});
}

// A block returns while the block that was taken instead of it is free as well.
void blocks_that_come_back() {
  sweep_bench b;
  b.replace_victim({});
  int round = 0;
  play(b, {.prepare = [](sweep_bench& x) { x.submit(20); },
           .over =
               [&](sweep_bench& x) {
                 if (!x.all_resolved()) return false;
                 if (round == 1) x.take_first();
                 if (++round > 4) return true;
                 x.submit(40, false, 0, 300);
                 return false;
               },
           .each_change = false});
}

// More than one page of the worker's books.
void many_results_that_nobody_reads() {
  sweep_bench b;
  b.replace_victim({});
  const auto submit_some = [](sweep_bench& x, int n) {
    for (int i = 0; i < n; ++i) x.submit(40);
  };
  int round = 0;
  play(b, {.over =
               [&](sweep_bench& x) {
                 if (!x.all_resolved()) return false;
                 if (++round > 30) return true;
                 // First they stay, then they come back one by one.
                 if (round > 3) x.take_first();
                 x.submit(40);
                 return false;
               },
           .each_change = false,
           .warm_up =
               [&](sweep_bench& x) {
                 submit_some(x, 25);
                 EXPECT_TRUE(eventually([&] { return x.all_resolved(); }));
                 x.wait_until_victim_sleeps();
               }});
}

// Larger than a window of the arena, and free again.
void very_large_results() {
  sweep_bench b;
  b.replace_victim({});
  int round = 0;
  play(b, {.prepare = [](sweep_bench& x) { x.submit_overflowing(65U << 20U); },
           .over =
               [&](sweep_bench& x) {
                 if (!x.all_resolved()) return false;
                 if (++round > 2) return true;
                 x.take_first_error();
                 x.submit_overflowing(65U << 20U);
                 return false;
               },
           .each_change = false});
}

void a_map_whose_function_does_not_decode() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare = [](sweep_bench& x) { x.submit_map(3, 1, sweep_bench::failing::all); }});
}

// Neither for the value nor for the text of the exception that says so, or just not once.
void no_memory_for_an_outcome() {
  for (const char* missing : {"fallocate", "mmap"}) {
    for (const int times : {3, 100}) {
      sweep_bench b;
      b.replace_victim({});
      int calls = 0;
      play(b, {.prepare =
                   [](sweep_bench& x) {
                     x.submit(40);
                     x.allow_error("memory");
                   },
               .each_change = false,
               .fault =
                   [&](const std::string& call, const std::string&) {
                     if (call != missing || ++calls > times) return 0;
                     // The first one is tried again.
                     return calls == 1 && times == 3 && call == "fallocate" ? EINTR : ENOMEM;
                   }});
      EXPECT_GT(calls, 0) << missing;
    }
  }
}

// There is for its first block.
void no_memory_in_a_chunk() {
  sweep_bench b;
  b.replace_victim({});
  int calls = 0;
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.submit_map(3, 330, sweep_bench::failing::last);
                 x.allow_error("no shared memory");
               },
           .each_change = false,
           .fault =
               [&](const std::string& call, const std::string&) {
                 if (call != "fallocate") return 0;
                 ++calls;
                 // Some more at once, which is not needed; what is needed; both for the second one.
                 return calls == 1 || calls == 3 || calls == 4 ? ENOSPC : 0;
               }});
  EXPECT_GE(calls, 4);
}

// `ulimit -f` leaves room for the first large block only.
// Not even for the first block.
void no_memory_for_a_chunk() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.submit_map(3, 1, sweep_bench::failing::none);
                 x.allow_error("no shared memory");
               },
           .each_change = false,
           .fault = [](const std::string& call,
                       const std::string&) { return call == "fallocate" ? ENOSPC : 0; }});
}

void a_partition_that_is_full() {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{u64{2} << 30U, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare =
               [](sweep_bench& x) {
                 x.submit_overflowing(65U << 20U);
                 x.expect_error("fill the shared region");
               },
           .each_change = false});
  setrlimit(RLIMIT_FSIZE, &before);
}

// A slot that does not hold what submit wrote: an exception is the outcome, or, where the sweep has
// submitted the task again, the value.
void damaged_tasks() {
  sweep_bench b;
  b.replace_victim({});
  play(b, {.prepare =
               [](sweep_bench& x) {
                 for (const u32 padding : {0U, 300U}) {
                   x.submit(1, false, 0, padding);
                   const u64 whole = x.last_slot().length.load();
                   x.last_slot().length.store(0);
                   for (u64 left = whole - 1; left >= 4; left = left > 40 ? 40 : left - 4) {
                     x.submit(1, false, 0, padding);
                     x.last_slot().length.store(left);
                   }
                 }
                 // Longer than a window, so it is mapped again.
                 for (const u64 mib : {1U, 65U, 130U, 260U}) {
                   x.submit(1, false, 0, 300);
                   x.last_slot().length.store(mib << 20U);
                 }
                 for (const u64 code : {u64{1}, u64{1} << 48U | 0xffff'ffff'ffffU}) {
                   x.submit(1);
                   x.last_slot().code = code;
                 }
                 x.allow_error("");  // each has its own
               },
           .each_change = false});
}

void damaged_chunks() {
  for (u64 left = 0; left < 100; left += 6) {
    sweep_bench b;
    b.replace_victim({});
    play(b, {.prepare =
                 [=](sweep_bench& x) {
                   x.submit_map(3, 1, sweep_bench::failing::none);
                   x.last_slot().length.store(std::min(x.last_slot().length.load(), left));
                   x.allow_error("cannot decode");
                 },
             .each_change = false});
  }
}

void a_signal_while_it_sleeps() {
  sweep_bench b;
  b.replace_victim({});
  int calls = 0;
  play(b,
       {.prepare = [](sweep_bench& x) { x.submit(1); },
        .over = [&](sweep_bench&) { return ++calls > 1; },
        .fault = [&](const std::string& call,
                     const std::string&) { return call == "syscall" && calls == 1 ? EINTR : 0; }});
}

void submit_one(sweep_bench& x) { x.submit(1); }
// Tasks that are worth a wake, and a worker to wake.
void prepare_to_share(sweep_bench& x) {
  x.region().control().typical_task_ns.store(1'000'000);
  for (int i = 0; i < 3; ++i) x.submit(1);
  x.set_roles(victim, {});
  shm::roster(x.region()).set_asleep(peer);
}
void appoint_the_victim(sweep_bench& x) {
  x.set_roles(peer, victim);
  shm::roster(x.region()).wake(victim);
}

// What another process does to the roles between two instructions of this one.
void roles_that_change() {
  struct moment {
    const char* function;
    const char* what;
    void (*prepare)(sweep_bench&);
    void (*then)(sweep_bench&);
  };
  const moment moments[] = {
      // It is about to appoint a watchdog, and the spinning worker goes to sleep.
      {"shm::roster::appoint", "", &prepare_to_share, [](sweep_bench& x) { x.set_roles({}, {}); }},
      // The parent appoints it a second time, as it has just seen it asleep.
      {"shm::work_source::spin", "", &submit_one,
       [](sweep_bench& x) { x.set_roles(victim, victim); }},
      // A task comes while it is not looking.
      {"shm::work_source::spin", "", &submit_one, &submit_one},
      {"shm::roster::drop_roles", "", &appoint_the_victim,
       [](sweep_bench& x) { x.set_roles(victim, victim); }},
  };
  for (const moment& m : moments) {
    SCOPED_TRACE(m.function);
    sweep_bench b;
    b.replace_victim({});
    bool done = false;
    int sleeps = 0;
    play(b, {.prepare = m.prepare,
             .meddle =
                 [&](sweep_bench& x, const stepper& s) {
                   if (done || !at(s, m.function, m.what)) return;
                   m.then(x);
                   done = true;
                 },
             .over =
                 [&](sweep_bench& x) {
                   // Not found where it has been put in line.
                   return x.all_resolved() && (done || ++sleeps > 3);
                 }});
    EXPECT_TRUE(done || !exact);
  }
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
                     x.region().control().typical_task_ns.store(100);
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

// The parent tells a worker to leave that sleeps; a task may have come meanwhile.
void a_worker_that_is_dismissed() {
  for (const bool with_task : {false, true}) {
    sweep_bench b;
    b.replace_victim({});
    bool told = false;
    play(b, {.prepare = submit_one,
             .meddle =
                 [&](sweep_bench& x, const stepper& s) {
                   if (told || !x.all_resolved()) return;
                   if (s.next_call() != nullptr || !at(s, "os::futex_wait", "")) return;
                   told = true;
                   if (with_task) x.submit(1);
                   x.region().worker(victim).leave.store(1);
                   shm::roster(x.region()).wake(victim);
                 },
             .over = [](sweep_bench&) { return false; }});
  }
}

// Two tasks, and a death after so many instructions, counted from the first claim's beginning or
// from the first DONE. Adds the function in which it dies.
void die_for_real(sweep_bench& b, int k, int instructions, bool from_done,
                  std::set<std::string>& places) {
  b.wait_until_quiet();
  const pid_t pid = b.victim_pid();
  stepper it(pid, program(), protocol());
  b.notify(b.submit(1, k % 5 == 4));
  b.notify(b.submit(k % 2 == 0 ? 1 : 40, false, k % 3 == 2 ? 1 : 0));
  // Threads that wait: before it runs, or while it does.
  const bool early = from_done || k % 4 < 2;
  if (early) b.start_sleepers();
  for (int left = instructions; it.alive(); it.step()) {
    if (left == 0) break;
    const std::string* call = it.next_call();
    if (call != nullptr && *call == "syscall" && b.all_resolved()) break;
    if (protocol().contains(it.position()) && (!from_done || b.first_resolved())) --left;
  }
  if (protocol().contains(it.position())) places.insert(function_at(it.position()));
  if (!early) b.start_sleepers();
  const std::vector<sweep_bench::fate> fates = b.fates();
  it.kill();
  b.wait_for_successor(pid);
  ASSERT_EQ(b.settle_for_real(fates), "")
      << "after " << instructions << " instructions" << (from_done ? " since DONE" : "");
}

// The same with a real SIGKILL, the pool's own sweep, the worker that takes the dead worker's
// place, and threads of the parent that sleep. PROCPOOL_KILL_STRIDE=1 leaves out no instruction.
TEST_F(kill_everywhere, killed_for_real) {
  sweep_bench b(1);
  const char* wish = std::getenv("PROCPOOL_KILL_STRIDE");
  const int stride = wish == nullptr ? 7 : std::max(1, std::atoi(wish));
  constexpr int all = 700;  // of the two tasks, and then it sleeps
  std::set<std::string> places;
  for (int k = 0; k * stride < all && !HasFatalFailure(); ++k) {
    die_for_real(b, k, k * stride, false, places);
  }
  EXPECT_GT(places.size(), 5U);
  // Here a wake is due that only the sweep sends.
  places.clear();
  constexpr int until_woken = 12;
  for (int k = 1; k <= until_woken && !HasFatalFailure(); ++k) die_for_real(b, 0, k, true, places);
  EXPECT_TRUE(std::any_of(places.begin(), places.end(), [](const std::string& f) {
    return f.starts_with("procpool::os::futex_wake");
  }));
}

// With instructions that lead to exceptions only.
// One in a hundred more since the end of a run is among them.
constexpr std::size_t most_exempt_percent = exact ? 15 : 50;

struct missed {
  std::string code, text;
};

// "lock cmpxchg" for "lock cmpxchg %rsi,(%rdx)".
std::string verb_of(address a) {
  const disassembly::instruction& i = program().instructions().at(a);
  std::string out = i.text.substr(0, i.text.find_first_of(" \t"));
  if (out == "lock" || out == "rep") {
    const auto second = i.text.find_first_not_of(' ', out.size());
    out += " " + i.text.substr(second, i.text.find(' ', second) - second);
  }
  return out;
}

// What the walk through the disassembly must find, and where it must stop.
TEST_F(kill_everywhere, the_disassembly_is_that_of_the_worker_loop) {
  if (!exact) GTEST_SKIP() << "another compiler puts other functions in line";
  for (const char* must :
       {"procpool::worker::loop::publish(", "procpool::shm::work_source::next(",
        "procpool::worker::outcome_writer::grow(", "procpool::worker::chunk_writer::grow(",
        "procpool::worker::chunk_writer::write_exception(",
        "procpool::worker::encode_current_exception("}) {
    EXPECT_TRUE(protocol().has_function(must)) << must << " is not found";
  }
  for (const char* other :
       {"procpool::parent::", "procpool::launch::", "procpool::futures::", "procpool::threads::"}) {
    EXPECT_FALSE(protocol().has_function(other)) << "the loop calls " << other;
  }
  for (const std::string& s : protocol().strangers()) {
    ADD_FAILURE() << s << " is called from the loop, and is neither procpool's nor a boundary";
  }
  for (const std::string& b : protocol().unused_boundaries()) {
    ADD_FAILURE() << "nothing calls " << b;
  }
}

TEST_F(kill_everywhere, the_sweep_after_each_instruction) {
  const std::pair<const char*, void (*)()> scenarios[] = {
      {"plain_tasks_and_a_waiter", &plain_tasks_and_a_waiter},
      {"somebody_waits_for_many", &somebody_waits_for_many},
      {"large_results", &large_results},
      {"a_chunk_of_a_map", &a_chunk_of_a_map},
      {"an_exception", &an_exception},
      {"a_kill_that_is_decided", &a_kill_that_is_decided},
      {"tasks_with_limits", &tasks_with_limits},
      {"a_limit_that_is_over", &a_limit_that_is_over},
      {"a_hint_whose_task_was_cancelled", &a_hint_whose_task_was_cancelled},
      {"the_last_task_of_a_life", &the_last_task_of_a_life},
      {"looking_for_work", &looking_for_work},
      {"tasks_that_stream", &tasks_that_stream},
      {"falling_asleep_when_work_comes", &falling_asleep_when_work_comes},
      {"watching_a_backlog", &watching_a_backlog},
      {"watching_a_backlog_with_patience", &watching_a_backlog_with_patience},
      {"watching_nothing", &watching_nothing},
      {"roles_that_are_taken_already", &roles_that_are_taken_already},
      {"the_end_of_the_pool", &the_end_of_the_pool},
      {"the_first_task_of_a_life", &the_first_task_of_a_life},
      {"blocks_that_come_back", &blocks_that_come_back},
      {"many_results_that_nobody_reads", &many_results_that_nobody_reads},
      {"very_large_results", &very_large_results},
      {"a_map_whose_function_does_not_decode", &a_map_whose_function_does_not_decode},
      {"no_memory_for_an_outcome", &no_memory_for_an_outcome},
      {"no_memory_in_a_chunk", &no_memory_in_a_chunk},
      {"no_memory_for_a_chunk", &no_memory_for_a_chunk},
      {"a_partition_that_is_full", &a_partition_that_is_full},
      {"damaged_tasks", &damaged_tasks},
      {"damaged_chunks", &damaged_chunks},
      {"a_signal_while_it_sleeps", &a_signal_while_it_sleeps},
      {"roles_that_change", &roles_that_change},
      {"a_worker_that_is_dismissed", &a_worker_that_is_dismissed},
  };
  const bool show = std::getenv("PROCPOOL_SHOW_MISSED") != nullptr;
  for (const auto& [name, run] : scenarios) {
    SCOPED_TRACE(name);
    run();
    if (HasFatalFailure()) return;
  }
  const coverage& all = coverage::of_all();
  std::map<address, missed> by_function;
  std::size_t thrown = 0, listed = 0;
  address last_missed = 0;
  for (const address a : protocol().instructions()) {
    if (all.visited.count(a) != 0) continue;
    if (program().only_throws(a)) {
      ++thrown;
      continue;
    }
    ++listed;
    missed& m = by_function[program().instructions().at(a).function];
    const bool follows = last_missed != 0 && program().instructions().at(last_missed).next == a;
    if (!m.code.empty()) m.code += follows ? " " : " | ";
    m.code += verb_of(a);
    m.text += (follows ? "\n    " : "\n\n    ") + text_at(a);
    last_missed = a;
  }
  std::set<const exemption*> unused;
  for (const exemption& e : exempt) unused.insert(&e);
  for (const auto& [entry, m] : by_function) {
    const std::string& function = program().functions().at(entry).name;
    const std::string what = function + ": \"" + m.code + "\"" + m.text;
    if (show) std::cout << "not reached in " << what << "\n";
    const auto* const e =
        std::find_if(std::begin(exempt), std::end(exempt), [&](const exemption& x) {
          return unused.count(&x) != 0 &&
                 function.starts_with(std::string("procpool::") + x.function) && m.code == x.code;
        });
    if (e != std::end(exempt)) {
      unused.erase(e);
    } else if (exact) {
      ADD_FAILURE() << "not reached in " << what;
    }
  }
  if (exact) {
    for (const exemption* e : unused) {
      ADD_FAILURE() << "reached, or gone: " << e->function << ": " << e->code;
    }
  }
  const std::size_t whole = protocol().instructions().size();
  std::cout << whole << " instructions: " << all.visited.size() << " killed at, " << thrown
            << " lead to exceptions only, " << listed << " exempt; " << all.steps << " steps, "
            << all.verdicts << " verdicts\n";
  EXPECT_LT((thrown + listed) * 100, whole * most_exempt_percent);
}

}  // namespace

#endif  // __x86_64__
