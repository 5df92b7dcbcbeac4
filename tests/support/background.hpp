// A coroutine type that knows nothing of procpool: it runs at once, and another thread can wait for
// its end.
#pragma once

#include <coroutine>
#include <exception>
#include <future>
#include <utility>

namespace procpool::testing {

template <class T>
struct background {
  struct promise_type {
    std::promise<T> result;
    background get_return_object() {
      return {result.get_future(), std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(T v) { result.set_value(std::move(v)); }
    void unhandled_exception() { result.set_exception(std::current_exception()); }
  };
  std::future<T> result;
  std::coroutine_handle<promise_type> coroutine;  // dangles once it is over
};

}  // namespace procpool::testing
