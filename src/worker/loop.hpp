// The worker's loop: claim, start, run, publish. One thread, no locks.
//
//   1. work_source claims: READY -> CLAIMED by one CAS. Killed before 2: the sweep puts it back.
//   2. start: a plain store of the generation's stamp into the slot. Killed from here on: the task
//      has crashed, also if that was while its arguments were decoded.
//   3. invoker runs it and leaves a complete outcome in the slot. Killed: crashed.
//   4. publish: if the parent wants to be notified, push the slot to this worker's done-list first;
//      then CLAIMED -> DONE by one CAS. If NOTIFY appeared in between, push and try again. Killed
//      between: the list may hold a slot that is not done; the parent keeps such entries aside and
//      believes only the word. Killed after: the sweep finds DONE and wakes who waits.
//      If the word says KILL, the parent has decided to kill this process, and perhaps cannot: the
//      process kills itself, so that the signal cannot hit another task.
//   5. wake: a futex wake on the word if somebody sleeps there, the doorbell if it is armed.
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
        source_(r, seat, [this] { return look_around(); }),
        invoke_(&invoke),
        blocks_(&blocks),
        server_pid_(server_pid) {}
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  // Until the pool stops, or `most_tasks` are done (0: no limit).
  void run(shm::u64 most_tasks);

 private:
  [[gnu::noinline]] bool look_around();  // rare: not in the way of tasks
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
