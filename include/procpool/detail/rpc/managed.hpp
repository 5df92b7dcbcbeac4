// What procpool::manager and procpool::proxy need of the compiled library: objects as a manager
// holds them, calls as they travel, and both ends of the connection.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/task_call.hpp"
#include "procpool/errors.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// A request or a reply while it is written, with the shared objects that it names. It keeps them
// until the receiver keeps them as well. For one thread.
class PROCPOOL_EXPORT message_writer final : public heap_writer {
 public:
  message_writer() : heap_writer(&message_writer::note) {}
  // Drops the written bytes and the objects.
  void restart();
  // Lists the objects after the written bytes; returns false if there are none.
  bool append_objects();

 private:
  static void note(wire_writer& self, const shared_object& object);
  std::vector<shared_object> objects_;
};

class PROCPOOL_EXPORT managed_object {
 public:
  managed_object() = default;
  virtual ~managed_object();
  managed_object(const managed_object&) = delete;
  managed_object& operator=(const managed_object&) = delete;
};

template <class T>
class managed final : public managed_object {
 public:
  template <class... Args>
  explicit managed(std::in_place_t, Args&&... args) : value(std::forward<Args>(args)...) {}
  T value;
};

// The functions that a manager calls.
using make_thunk = std::unique_ptr<managed_object> (*)(wire_reader& in);
using call_thunk = void (*)(managed_object& object, wire_reader& in, wire_writer& out);

template <class T, class... Stored>
std::unique_ptr<managed_object> make_managed(wire_reader& in) {
  std::tuple<Stored...> values{wire<Stored>::take(in)...};  // braces fix the order
  in.expect_end();
  return std::apply(
      [](Stored&... args) {
        return std::unique_ptr<managed_object>(
            std::make_unique<managed<T>>(std::in_place, std::move(args)...));
      },
      values);
}

// f(T&, args...), with the types that the manager decodes.
template <class T, class F, class Indices, class... Stored>
struct managed_body;

template <class T, class F, std::size_t... I, class... Stored>
struct managed_body<T, F, std::index_sequence<I...>, Stored...> {
  using parameters = typename parameters_of<F>::type;

  // The first parameter is the object.
  template <std::size_t N, class S>
  using argument_at = argument<typename parameter_at<N + 1, parameters>::type, S>;

  static constexpr bool function_ok = is_task_function<F>;
  static constexpr bool arguments_ok = (can_travel<Stored, bound_for::worker>() && ...);

  static constexpr bool fits() {
    if constexpr (function_ok && arguments_ok) {
      return std::is_invocable_v<const F&, T&, typename argument_at<I, Stored>::held...>;
    } else {
      return false;
    }
  }
  static consteval auto find_result() {
    if constexpr (fits()) {
      return std::type_identity<
          std::invoke_result_t<const F&, T&, typename argument_at<I, Stored>::held...>>{};
    } else {
      return std::type_identity<void>{};  // an error that has been reported already
    }
  }
  using result = task_result<typename decltype(find_result())::type>;
  using result_type = typename result::type;

  static consteval bool check() {
    if constexpr (!function_ok) {
      return require_task_function<F>();
    } else if constexpr (!arguments_ok) {
      return (require_can_travel<Stored, bound_for::worker>() && ...);
    } else if constexpr (!fits()) {
      return sizeof(call_does_not_fit<F, parameters, type_list<T&, Stored...>>) != 0;
    } else {
      return result::checked;
    }
  }
  static_assert(check());

  static void run(managed_object& object, wire_reader& in, wire_writer& out) {
    auto* const holder = dynamic_cast<managed<T>*>(&object);
    if (holder == nullptr) throw codec_error("a proxy names an object of another type");
    if constexpr (fits()) {
      const F f = take_function<F>(in);
      if constexpr (std::is_void_v<result_type>) {
        call_next(f, holder->value, in);
      } else {
        wire<result_type>::put(out, call_next(f, holder->value, in));
      }
    }
  }

 private:
  // One argument for each level of recursion, as for tasks.
  template <class... Done>
  static result_type call_next(const F& f, T& object, wire_reader& in, Done&... done) {
    constexpr std::size_t next = sizeof...(Done);
    if constexpr (next == sizeof...(Stored)) {
      in.expect_end();
      return std::invoke(f, object, std::move(done)...);
    } else {
      using stored_type = std::tuple_element_t<next, std::tuple<Stored...>>;
      typename argument_at<next, stored_type>::held value =
          argument_at<next, stored_type>::take(in);
      return call_next(f, object, in, done..., value);
    }
  }
};

template <class T, class F, class... Args>
using managed_call = managed_body<T, F, std::index_sequence_for<Args...>, stored_t<Args>...>;

// One request about the object of a token: the constructor sends it and waits for the reply. Throws
// the exception of the function, and manager_lost_error. Keeps the objects that the reply names
// while it lives.
class PROCPOOL_EXPORT manager_reply {
 public:
  manager_reply(const shared_object& token, make_thunk thunk, message_writer& request);
  manager_reply(const shared_object& token, call_thunk thunk, message_writer& request);
  ~manager_reply();
  manager_reply(const manager_reply&) = delete;
  manager_reply& operator=(const manager_reply&) = delete;
  wire_reader& reader();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace procpool::detail
