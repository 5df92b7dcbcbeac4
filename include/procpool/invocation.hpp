// procpool::invocation: a task without arguments, of any type: for example the function that a pool
// runs at the start and the end of a worker.
//
//   pool_options{.initializer = procpool::partial(load_model, "model.bin")}
//
// It holds the encoded task. A value: copies are independent; any thread may call const members.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/task/task_call.hpp"
#include "procpool/export.hpp"

namespace procpool {

class PROCPOOL_EXPORT invocation {
 public:
  using thunk_type = detail::run_thunk;

  invocation() = default;  // empty: nothing to run

  template <class F>
    requires(!std::same_as<F, invocation>)
  invocation(F f)
      : thunk_(&detail::task_call<F>::run_and_drop) {  // implicit, so that options read well
    detail::heap_writer writer;
    detail::task_call<F>::pack(writer, f);
    task_ = writer.take();
  }

  explicit operator bool() const noexcept { return thunk_ != nullptr; }

  // Runs the task in this thread; an empty invocation does nothing.
  void operator()() const;

  thunk_type thunk() const noexcept { return thunk_; }
  const detail::wire_buffer& task() const noexcept { return task_; }

 private:
  friend detail::wire<invocation>;

  thunk_type thunk_ = nullptr;
  detail::wire_buffer task_;
};

namespace detail {

template <>
struct PROCPOOL_EXPORT wire<invocation> : wire_code {
  static constexpr std::size_t min_size() { return sizeof(code_ref) + 1; }
  static void put(wire_writer& writer, const invocation& value);
  static invocation take(wire_reader& reader);
};

}  // namespace detail
}  // namespace procpool
