// What procpool::process needs of the compiled library: the function to run, packed for another
// process or kept for a copy of this process, and the calls that start it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/shared/noting_writer.hpp"
#include "procpool/detail/task/task_call.hpp"
#include "procpool/export.hpp"

namespace procpool::parent {
class child_process;
}

namespace procpool::detail {

// The function that a copy of this process runs. The parent keeps its own instance until the
// process has ended and was joined, and with it the objects that the captures refer to.
class PROCPOOL_EXPORT process_body {
 public:
  process_body() = default;
  virtual ~process_body();
  process_body(const process_body&) = delete;
  process_body& operator=(const process_body&) = delete;
  virtual void run() = 0;
};

template <class F, class... Args>
class process_closure final : public process_body {
  static_assert(std::is_invocable_v<F, Args...>,
                "procpool: the function of this process cannot be called with these arguments, "
                "which arrive as rvalues");

 public:
  template <class... Given>
  explicit process_closure(F f, Given&&... args)
      : f_(std::move(f)), args_(std::forward<Given>(args)...) {}
  void run() override { std::apply(std::move(f_), std::move(args_)); }

 private:
  F f_;
  std::tuple<Args...> args_;
};

}  // namespace procpool::detail
