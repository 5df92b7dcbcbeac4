// The state of a future that depends on other futures: when_all, when_any, with_timeout.
//
// It listens to each input once and resolves when the last input that it needs is done; no thread
// waits for it. The outcome is made of the inputs' outcomes when it is first read, by the thread
// that reads it: no code of the user runs on the way of results.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include "procpool/detail/task/local_task.hpp"
#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

enum class combination_rule {
  all,  // done when all inputs are done, or the first of them has failed
  any,  // done when an input is done
};

class PROCPOOL_EXPORT combination : public local_task {
 public:
  task_status status() const override;
  bool failed() const noexcept override;
  bool wait_until(const time_point* deadline) override;
  outcome_view wait_and_pin() override;
  outcome_view pin() override;
  bool cancel(bool kill_running) override;

  // The inputs, before start(). `owned`: cancelling the combination cancels this input, which has
  // no other owner.
  void add(task_state& input, bool owned);
  // Begins to listen. With a limit the combination fails with timeout_error once it has passed, and
  // cancels its inputs as `kill_running` says. Throws std::bad_alloc, and std::system_error if a
  // limit needs the callback thread and it cannot be started.
  void start(std::optional<duration> limit = {}, bool kill_running = false);

 protected:
  combination(combination_rule rule, std::size_t inputs);
  ~combination() override;

  // Makes the value; called once, when the inputs that the rule names are done. `first` is the
  // input that decided. May throw.
  virtual void assemble(std::size_t first) = 0;
  // The error of an input that is done and has failed.
  virtual std::exception_ptr error_of(std::size_t input) = 0;
  void name_source(subscription& s) const override;
  // Stops listening. The destructor of a derived class calls it before the inputs are destroyed.
  void withdraw() noexcept;

 private:
  struct members;
  std::unique_ptr<members> members_;
};

// The error of one of the inputs, which are a vector, a tuple, or one future.
template <class Inputs>
std::exception_ptr error_of_input(Inputs& inputs, std::size_t index) {
  if constexpr (requires { inputs[index]; }) {
    return inputs[index].exception();
  } else if constexpr (requires { std::tuple_size<Inputs>::value; }) {
    std::exception_ptr error;
    std::size_t at = 0;
    const auto look = [&](auto& input) {
      if (at++ == index) error = input.exception();
    };
    std::apply([&look](auto&... input) { (look(input), ...); }, inputs);
    return error;
  } else {
    return inputs.exception();
  }
}

// `Inputs` holds the futures; Assemble makes an R of them, or a std::monostate if R is void.
template <class R, class Inputs, class Assemble>
class combined final : public combination {
 public:
  combined(combination_rule rule, std::size_t count, Inputs inputs)
      : combination(rule, count), inputs_(std::move(inputs)) {}
  Inputs& inputs() noexcept { return inputs_; }

 private:
  ~combined() override { withdraw(); }
  void assemble(std::size_t first) override { value_.emplace(Assemble{}(inputs_, first)); }
  std::exception_ptr error_of(std::size_t input) override { return error_of_input(inputs_, input); }
  outcome_view value() noexcept override {
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      return {nullptr, nullptr, 0, std::addressof(*value_)};
    }
  }
  void drop_outcome() noexcept override {
    value_.reset();
    combination::drop_outcome();
  }

  Inputs inputs_;
  std::optional<std::conditional_t<std::is_void_v<R>, std::monostate, R>> value_;
};

// Throws std::invalid_argument: when_any without futures.
[[noreturn]] PROCPOOL_EXPORT void throw_nothing_to_wait_for();

}  // namespace procpool::detail
