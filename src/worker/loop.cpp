#include "worker/loop.hpp"

#include <limits>

#include "os/child_setup.hpp"
#include "os/futex.hpp"

namespace procpool::worker {

using shm::u32;
using shm::u64;

namespace {

constexpr u64 worth_checking_us = 50;  // a hundred times the cost of the check

}  // namespace

void loop::run(u64 most_tasks, const growth_limit& growth) {
  shm::worker_block& block = region_->worker(seat_);
  const u64 worth_checking = worth_checking_us * region_->header().cycles_per_us;
  u64 done = 0;
  while (shm::slot* s = source_.next()) {
    // relaxed: the sweep reads it when this process is dead. Only the flags of a claimed word can
    // change, so the stamp is that of the claimed generation.
    s->started.store(shm::started_stamp(s->word.load(std::memory_order_relaxed)),
                     std::memory_order_relaxed);
    source_.share_backlog();
    invoke_->run(*s);
    source_.finished();
    if ((s->traits & shm::is_chunk) != 0) {
      s->elapsed.store(
          static_cast<u32>(std::min<u64>(source_.last_task_ns(), std::numeric_limits<u32>::max())),
          std::memory_order_relaxed);
    }
    publish(*s);
    // relaxed: advisory
    block.tasks.store(++done, std::memory_order_relaxed);
    if (source_.last_end() >= blocks_->trim_at()) {
      maintain();
      if (growth.is_exceeded()) return;
    }
    if (done == most_tasks) return;
    // A task that closes the worker's descriptors seldom takes less time. The worker then leaves
    // before it needs them, so that no later task counts as crashed.
    if (source_.last_task_cycles() >= worth_checking &&
        (!blocks_->owns_file() || growth.is_exceeded())) {
      return;
    }
  }
}

// Runs once a second at most. PR_SET_PDEATHSIG is set again, since the kernel clears it when the
// process changes its user or group, which an initializer or a task may do.
bool loop::maintain() {
  if (!os::die_with_parent(server_pid_)) os::leave_process(0);
  return blocks_->trim();
}

void loop::publish(shm::slot& s) {
  // relaxed: only the value that the CAS expects
  u64 word = s.word.load(std::memory_order_relaxed);
  bool pushed = false;
  do {
    // The parent has ended the task without this worker: it was cancelled, or the pool was
    // abandoned. Where the parent can kill, the signal is on its way.
    if (shm::phase_of(word) != shm::task_phase::claimed) os::kill_this_process();
    if ((word & shm::notify_flag) != 0 && !pushed) {
      push_done(s);
      pushed = true;
    }
    // seq_cst: releases the outcome, and orders DONE before the load of `doorbell_armed` in
    // ring_doorbell
  } while (!s.word.compare_exchange_weak(word, shm::with_phase(word, shm::task_phase::done)));
  if ((word & shm::waiter_flag) != 0) os::futex_wake(s.word, std::numeric_limits<int>::max());
  if (pushed) shm::ring_doorbell(*page_);
}

// A lock-free stack: the worker pushes, and the parent takes the whole list by exchanging the head
// with 0, so there is no ABA problem.
void loop::push_done(shm::slot& s) {
  std::atomic<u32>& head = region_->worker(seat_).done_list;
  const auto me = static_cast<u32>(&s - &region_->at(0)) + 1;
  u32 next = head.load(std::memory_order_relaxed);
  do {
    // relaxed: the head releases it
    s.next.store(next, std::memory_order_relaxed);
    // release: the link before the head that leads to it
  } while (!head.compare_exchange_weak(next, me, std::memory_order_release));
}

}  // namespace procpool::worker
