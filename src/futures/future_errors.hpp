// Errors that executors of every kind throw.
#pragma once

namespace procpool::detail {

// Throws nested_use_error. `inherited`: the executor belongs to another process and was inherited
// by fork(). Otherwise the executor was made in a task, where executors do nothing.
[[noreturn]] void throw_unusable(bool inherited);
// Throws shutdown_error: a pool was asked to run more tasks.
[[noreturn]] void throw_shut_down();

}  // namespace procpool::detail
