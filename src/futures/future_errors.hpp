// Errors that executors of every kind throw.
#pragma once

namespace procpool::detail {

// Throws nested_use_error. `inherited`: the executor belongs to another process and was inherited
// by fork(). Otherwise the executor was made in a task, where executors do nothing.
[[noreturn]] void throw_unusable(bool inherited);

}  // namespace procpool::detail
