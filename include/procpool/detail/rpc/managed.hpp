// What procpool::manager and procpool::proxy need of the compiled library: objects as a manager
// holds them, calls as they travel, and both ends of the connection.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/shared/noting_writer.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/call_traits.hpp"
#include "procpool/errors.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

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
template <class T, class F, class... Args>
struct managed_call {
  using body = call_traits<F, type_list<T&>, std::index_sequence_for<Args...>, stored_t<Args>...>;
  using result_type = typename body::result_type;
  static_assert(body::check());

  static void run(managed_object& object, wire_reader& in, wire_writer& out) {
    auto* const holder = dynamic_cast<managed<T>*>(&object);
    if (holder == nullptr) throw codec_error("a proxy names an object of another type");
    if constexpr (body::fits()) {
      const F f = take_function<F>(in);
      if constexpr (std::is_void_v<result_type>) {
        body::call(f, in, holder->value);
      } else {
        wire<result_type>::put(out, body::call(f, in, holder->value));
      }
    }
  }
};

// One request about the object of a token: the constructor sends it and waits for the reply. Throws
// the exception of the function, and manager_lost_error. Keeps the objects that the reply names
// while it lives.
class PROCPOOL_EXPORT manager_reply {
 public:
  manager_reply(const shared_object& token, make_thunk thunk, noting_writer& request);
  manager_reply(const shared_object& token, call_thunk thunk, noting_writer& request);
  ~manager_reply();
  manager_reply(const manager_reply&) = delete;
  manager_reply& operator=(const manager_reply&) = delete;
  wire_reader& reader();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace procpool::detail
