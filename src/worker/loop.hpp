// The worker's loop: claim a task, mark it as started, run it, publish its outcome. One thread, no
// locks; everything that other processes see is in the region, and every step is one atomic store
// or CAS, so that a worker can be killed at any instruction.
//
//   step       | what the worker does                         | killed after it, the sweep (of the
//              |                                              | parent, over a dead worker's tasks)
//   -----------+----------------------------------------------+------------------------------------
//   1. claim   | CAS of the state word, READY -> CLAIMED      | makes the task READY again
//   2. start   | stores the generation's stamp in the slot    | counts the task as crashed, also if
//              |                                              |   its arguments were being decoded
//   3. run     | invoker leaves a complete outcome in the slot| counts the task as crashed
//   4. publish | if the word has NOTIFY: pushes the slot to   | as before: the list may hold a slot
//              |   this worker's done-list;                   |   that is not done, and the parent
//              |                                              |   believes only the word
//              | CAS of the word, CLAIMED -> DONE; pushes and | finds DONE, and wakes the waiters
//              |   tries again if NOTIFY appeared meanwhile   |
//   5. wake    | wakes the futex of the word if it has WAITER,| nothing is left to do
//              |   rings the doorbell if it has pushed        |
//
// If the word says KILL when the outcome must be published, the parent has decided to kill this
// process, and cannot be sure to succeed: the worker then kills itself, so that the signal cannot
// hit the next task.
#pragma once

#include <sys/types.h>

#include "shm/dispatch.hpp"
#include "shm/process_page.hpp"
#include "worker/invoke.hpp"

namespace procpool::worker {

class loop {
 public:
  loop(const shm::region& r, shm::process_page& page, shm::u32 seat, invoker& invoke,
       result_blocks& blocks, pid_t server_pid)
      : region_(&r),
        page_(&page),
        seat_(seat),
        source_(r, seat, [this] { return maintain(); }),
        invoke_(&invoke),
        blocks_(&blocks),
        server_pid_(server_pid) {}
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  // Returns when the pool stops, or when `most_tasks` tasks are done (0: no limit).
  void run(shm::u64 most_tasks);

 private:
  [[gnu::noinline]] bool maintain();  // rare: kept out of the path of tasks
  void publish(shm::slot& s);
  void push_done(shm::slot& s);

  const shm::region* region_;
  shm::process_page* page_;
  shm::u32 seat_;
  shm::work_source source_;
  invoker* invoke_;
  result_blocks* blocks_;
  pid_t server_pid_;
};

}  // namespace procpool::worker
