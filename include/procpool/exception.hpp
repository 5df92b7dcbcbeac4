// Exceptions of your own types, from the worker to the reader of the result.
//
//   PROCPOOL_EXCEPTION(bank::overdrawn)      // at namespace scope, in any source file or header
//
// An exception of a task is rethrown as its own type if the type is a standard one or registered
// like this; any other exception becomes procpool::remote_error, with the name of its type and its
// what(). A registered type has a procpool::codec, or a constructor from std::string (which gets
// what()), or no state. Each rethrown exception has a nested remote_error, which says in which
// worker and task it was thrown:
//
//   catch (const bank::overdrawn& e) {
//     try { std::rethrow_if_nested(e); } catch (const procpool::remote_error& r) { r.where(); }
//   }
//
// Exceptions nested in the original are kept; then remote_error is the innermost one.
// Registration is done by static objects, and is safe from any thread.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "procpool/codec.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

// The codec of one exception type. `encode` gets the exception in flight, of that type or derived
// from it; `decode` gets what() and the exception to nest, and returns the rebuilt one.
struct exception_entry {
  using encode_function = void (*)(wire_writer&, const std::exception_ptr&);
  using decode_function = std::exception_ptr (*)(wire_reader&, const std::string& what,
                                                 const std::exception_ptr& nested);
  const std::type_info* type;
  encode_function encode;
  decode_function decode;
};

// Adds and removes one use of an entry, which stays where it is while it is used.
PROCPOOL_EXPORT void register_exception(const exception_entry& entry);
PROCPOOL_EXPORT void unregister_exception(const exception_entry& entry) noexcept;

template <class T>
inline constexpr bool can_nest =
    std::is_class_v<T> && !std::is_final_v<T> && !std::is_base_of_v<std::nested_exception, T>;

}  // namespace procpool::detail

namespace procpool {

// What the typeid of a rebuilt exception names: a T that a task threw, thrown again here with
// another exception nested in it: the exception that the constructing thread handles. Catch T.
template <class T>
class from_task final : public T, public std::nested_exception {
 public:
  explicit from_task(T&& original) : T(std::move(original)) {}
};

// The same for types that travel as their text: it says what the original said, whatever T's
// constructor makes of it.
template <class T>
  requires(std::is_base_of_v<std::exception, T> &&
           !detail::can_travel<T, detail::bound_for::parent>())
class from_task<T> final : public T, public std::nested_exception {
 public:
  explicit from_task(T&& original) : from_task(std::move(original), original.what()) {}
  from_task(T&& original, const std::string& what)
      : T(std::move(original)), what_(std::make_shared<const std::string>(what)) {}
  const char* what() const noexcept override { return what_->c_str(); }

 private:
  std::shared_ptr<const std::string> what_;  // shared, as copies of an exception must not throw
};

}  // namespace procpool

namespace procpool::detail {

// The exception that `make` returns, constructed while `nested` is handled.
template <class Make>
std::exception_ptr rebuild_with(const std::exception_ptr& nested, Make make) {
  try {
    std::rethrow_exception(nested);
  } catch (...) {
    return std::make_exception_ptr(make());
  }
}

template <class T>
std::exception_ptr rebuild(T original, const std::exception_ptr& nested) {
  if constexpr (can_nest<T>) {
    return rebuild_with(nested, [&] { return from_task<T>(std::move(original)); });
  } else {
    return rebuild_with(nested, [&] { return std::move(original); });
  }
}

template <class T>
std::exception_ptr rebuild_text(T original, const std::string& what,
                                const std::exception_ptr& nested) {
  if constexpr (can_nest<T>) {
    return rebuild_with(nested, [&] { return from_task<T>(std::move(original), what); });
  } else {
    return rebuild<T>(std::move(original), nested);
  }
}

template <class T>
struct PROCPOOL_LOCAL exception_transport {
  static constexpr bool by_codec = can_travel<T, bound_for::parent>();
  static constexpr bool by_text =
      std::is_base_of_v<std::exception, T> && std::is_constructible_v<T, const std::string&>;
  static constexpr bool stateless = std::is_base_of_v<std::exception, T> &&
                                    sizeof(T) == sizeof(std::exception) &&
                                    std::is_default_constructible_v<T>;
  static_assert(by_codec || by_text || stateless,
                "procpool: PROCPOOL_EXCEPTION needs a procpool::codec for this type, or a "
                "constructor from std::string");
  static_assert(std::is_copy_constructible_v<T>,
                "procpool: PROCPOOL_EXCEPTION needs a type that can be copied");

  static void encode([[maybe_unused]] wire_writer& writer,
                     [[maybe_unused]] const std::exception_ptr& in_flight) {
    if constexpr (by_codec) {
      try {
        std::rethrow_exception(in_flight);
      } catch (const T& e) {
        wire<T>::put(writer, e);
      }
    }
  }

  static std::exception_ptr decode([[maybe_unused]] wire_reader& reader,
                                   [[maybe_unused]] const std::string& what,
                                   const std::exception_ptr& nested) {
    if constexpr (by_codec) {
      T value = wire<T>::take(reader);
      reader.expect_end();
      return rebuild<T>(std::move(value), nested);
    } else if constexpr (by_text) {
      return rebuild_text<T>(T(what), what, nested);
    } else {
      return rebuild<T>(T(), nested);
    }
  }

  static constexpr exception_entry entry{&typeid(T), &encode, &decode};
};

// Registered while it lives.
template <class T>
class exception_registrar {
 public:
  exception_registrar() { register_exception(exception_transport<T>::entry); }
  ~exception_registrar() { unregister_exception(exception_transport<T>::entry); }

  exception_registrar(const exception_registrar&) = delete;
  exception_registrar& operator=(const exception_registrar&) = delete;
};

}  // namespace procpool::detail

#define PROCPOOL_DETAIL_JOIN_2(a, b) a##b
#define PROCPOOL_DETAIL_JOIN(a, b) PROCPOOL_DETAIL_JOIN_2(a, b)

#define PROCPOOL_EXCEPTION(...)                                                      \
  [[maybe_unused]] static const ::procpool::detail::exception_registrar<__VA_ARGS__> \
      PROCPOOL_DETAIL_JOIN(procpool_exception_, __COUNTER__){};
