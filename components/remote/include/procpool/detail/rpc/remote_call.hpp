// What remote.hpp's templates need of the compiled library: the functions and types that a server
// exposes, in the form in which it calls them, and one request of a client with its reply.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/rpc/remote_shape.hpp"
#include "procpool/detail/task/call_traits.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// A function as a server calls it: with the object, if it is a method of a type, and the bytes of
// the arguments.
struct remote_entry {
  std::string signature;
  std::function<void(void* object, wire_reader& in, wire_writer& out)> run;
};

struct remote_type_entry {
  // By the signature of their arguments.
  std::map<std::string, std::function<std::shared_ptr<void>(wire_reader&)>> constructors;
  std::map<std::string, remote_entry> methods;
  std::map<std::string, std::shared_ptr<void>> objects;
};

// --- the server's side ---------------------------------------------------------------------------

template <class F>
struct parameters_must_be_known {
  static_assert(always_false<F>,
                "procpool: what is exposed has one list of parameters: wrap an overloaded or "
                "generic function in a lambda that names them");
};
template <class F, class Object, class Parameters>
struct exposed_call_does_not_fit {
  static_assert(always_false<F>,
                "procpool: the function cannot be called with the object (if it is a method of a "
                "type) and these parameters, as a const one, or its result is not the declared "
                "one");
};

// Object is void for a function that is not a method of a type.
template <class F, class Object, class... P>
struct exposed_result
    : std::invoke_result<const F&, Object&, typename argument<P, stored_t<P>>::held...> {};
template <class F, class... P>
struct exposed_result<F, void, P...>
    : std::invoke_result<const F&, typename argument<P, stored_t<P>>::held...> {};

// An exposed function f([object,] P...) -> R. If R is void, the result is dropped.
template <class F, class R, class Object, class... P>
struct exposed_call {
  static_assert((require_shape<stored_t<P>>() && ...));
  static_assert(require_shape<R>());

  static remote_entry make(F f) {
    return {signature_of<R, stored_t<P>...>(),
            [f = std::move(f)](void* object, wire_reader& in, wire_writer& out) {
              call(f, object, in, out);
            }};
  }

 private:
  static void call(const F& f, void* object, wire_reader& in, wire_writer& out) {
    const auto then = [&](auto&&... held) -> R {
      if constexpr (std::is_void_v<R>) {
        invoke(f, object, held...);
      } else {
        return invoke(f, object, held...);
      }
    };
    const type_list<argument<P, stored_t<P>>...> takes;
    if constexpr (std::is_void_v<R>) {
      decode_and_call<void>(takes, then, in);
    } else {
      wire<R>::put(out, decode_and_call<R>(takes, then, in));
    }
  }
  template <class... Held>
  static decltype(auto) invoke(const F& f, [[maybe_unused]] void* object, Held&... held) {
    if constexpr (std::is_void_v<Object>) {
      return std::invoke(f, std::move(held)...);
    } else {
      return std::invoke(f, *static_cast<Object*>(object), std::move(held)...);
    }
  }
};

template <class F, class R, class Object, class... P>
consteval bool exposed_fits() {
  using result = exposed_result<F, Object, P...>;
  if constexpr (requires { typename result::type; }) {
    return std::is_void_v<R> || std::is_convertible_v<typename result::type, R>;
  } else {
    return false;
  }
}

template <class F, class R, class Object, class... P>
remote_entry make_exposed(F f, type_list<P...>) {
  if constexpr (exposed_fits<F, R, Object, P...>()) {
    return exposed_call<F, R, Object, P...>::make(std::move(f));
  } else {
    static_assert(sizeof(exposed_call_does_not_fit<F, Object, type_list<P...>>) != 0);
    return {};
  }
}

template <class F, class Object, class... P>
remote_entry expose_as_it_is(F f, type_list<P...> parameters) {
  using result = exposed_result<F, Object, P...>;
  if constexpr (requires { typename result::type; }) {
    return make_exposed<F, std::decay_t<typename result::type>, Object>(std::move(f), parameters);
  } else {
    static_assert(sizeof(exposed_call_does_not_fit<F, Object, type_list<P...>>) != 0);
    return {};
  }
}

// The result and the parameters have the types that F declares.
template <class Object, class F>
remote_entry expose_declared(F f) {
  using declared = typename parameters_of<F>::type;
  if constexpr (std::is_same_v<declared, unknown_parameters>) {
    static_assert(sizeof(parameters_must_be_known<F>) != 0);
    return {};
  } else if constexpr (std::is_void_v<Object>) {
    return expose_as_it_is<F, Object>(std::move(f), declared{});
  } else {
    return expose_as_it_is<F, Object>(std::move(f), typename drop_front<1, declared>::type{});
  }
}

// --- the client's side ---------------------------------------------------------------------------

enum class remote_verb : std::uint32_t { call = 4, method = 5, make = 6, find = 7 };

// The connections of one client, and its session with the server. Any thread.
class PROCPOOL_EXPORT remote_link {
 public:
  remote_link() = default;
  virtual ~remote_link();
  remote_link(const remote_link&) = delete;
  remote_link& operator=(const remote_link&) = delete;

 private:
  friend class remote_request;
  friend class remote_object;
  virtual void exchange(remote_verb verb, const wire_writer& request,
                        std::vector<std::byte>& reply) = 0;
  virtual void drop(std::uint64_t object) noexcept = 0;
};

// An object of the server that this client keeps alive.
class PROCPOOL_EXPORT remote_object {
 public:
  remote_object(std::shared_ptr<remote_link> link, std::uint64_t number)
      : link_(std::move(link)), number_(number) {}
  ~remote_object() { link_->drop(number_); }
  remote_object(const remote_object&) = delete;
  remote_object& operator=(const remote_object&) = delete;

  const std::shared_ptr<remote_link>& link() const noexcept { return link_; }
  std::uint64_t number() const noexcept { return number_; }

 private:
  std::shared_ptr<remote_link> link_;
  std::uint64_t number_;
};

// One request: it is written, sent and answered. For one thread.
class PROCPOOL_EXPORT remote_request {
 public:
  remote_request() = default;
  void put_text(const std::string& text);
  void put_number(std::uint64_t number) { writer_.write_value(number); }
  // Begins the arguments, so that views in them are aligned.
  wire_writer& arguments();
  // Blocks until the reply, whose bytes live as long as this object. Throws the exception of the
  // function, manager_lost_error and timeout_error.
  wire_reader send(remote_link& link, remote_verb verb);

 private:
  heap_writer writer_;
  std::vector<std::byte> reply_;
};

// Sends the arguments as parameters P..., and returns the result as an R.
template <class R, class... P, class... Args>
R call_remote(remote_link& link, remote_request& request, remote_verb verb, type_list<P...>,
              const Args&... args) {
  static_assert(sizeof...(P) == sizeof...(Args), "procpool: the number of arguments is wrong");
  static_assert((require_shape<stored_t<P>>() && ...));
  static_assert(require_shape<R>());
  request.put_text(signature_of<R, stored_t<P>...>());
  [[maybe_unused]] wire_writer& to = request.arguments();
  // An argument of another type is converted to a P, which lives while it is written.
  (put_as<stored_t<P>>(to, static_cast<const std::decay_t<P>&>(args)), ...);
  wire_reader reply = request.send(link, verb);
  if constexpr (std::is_void_v<R>) {
    reply.expect_end();
  } else {
    R value = wire<R>::take(reply);
    reply.expect_end();
    return value;
  }
}

// Requests a new object, whose constructor has parameters P..., and returns its number.
template <class... P, class... Args>
std::uint64_t ask_for_object(remote_link& link, remote_request& request, type_list<P...>,
                             const Args&... args) {
  static_assert((require_shape<stored_t<P>>() && ...));
  request.put_text(signature_of<void, stored_t<P>...>());
  [[maybe_unused]] wire_writer& to = request.arguments();
  (put_as<stored_t<P>>(to, static_cast<const P&>(args)), ...);
  return request.send(link, remote_verb::make).read_value<std::uint64_t>("an object");
}

}  // namespace procpool::detail
