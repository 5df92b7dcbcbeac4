// From a static library the linker takes only the parts that a program needs. Where a process has
// several copies of procpool and the loader finds the functions of one copy for all of them (the
// program exports them, or a library is linked, or loaded with RTLD_GLOBAL, before another), the
// parts that this copy lacks would come from the next copy: a manager of one copy would run in the
// server of another. So a copy is linked whole, and the loader finds all of its functions or none.
// Remote managers are left out: starting processes and naming tasks do not involve them, and most
// programs do not use them.

#include <optional>
#include <string>
#include <vector>

#include "main/become_server.hpp"
#include "procpool/barrier.hpp"
#include "procpool/condition_variable.hpp"
#include "procpool/detail/executor/broadcast.hpp"
#include "procpool/detail/executor/pipeline_tracker.hpp"
#include "procpool/detail/task/combination.hpp"
#include "procpool/errors.hpp"
#include "procpool/event.hpp"
#include "procpool/latch.hpp"
#include "procpool/manager.hpp"
#include "procpool/mutex.hpp"
#include "procpool/process.hpp"
#include "procpool/progress.hpp"
#include "procpool/promise.hpp"
#include "procpool/queue.hpp"
#include "procpool/semaphore.hpp"
#include "procpool/thread_pool_executor.hpp"

namespace procpool::main_hook {

// Never called. hook.cpp refers to it, and it refers to a function of each part.
void name_all_parts(parent::pool& pool) {
  const mutex lock;
  const condition_variable condition;
  const event happened;
  const latch start(1);
  const barrier all(1);
  const counting_semaphore permits(1);
  const queue<int> numbers(1);
  const process child;
  const manager objects;
  const detail::rendezvous gathering(pool);
  detail::arrive_and_wait(detail::rendezvous_words(), 0);
  const promise<int> promised;
  const thread_pool_executor threads(1);
  const detail::thread_broadcast in_threads(threads.native_target());
  detail::arrive_and_wait(std::shared_ptr<detail::thread_rendezvous>());
  const detail::pipeline_tracker line(true, {});
  const detail::progress_meter meter({}, std::nullopt);
  const std::vector<std::string> trace = task_killed({}, {}).backtrace();
  detail::throw_nothing_to_wait_for();  // of combinations; it does not return
}

}  // namespace procpool::main_hook
