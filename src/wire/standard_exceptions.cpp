// Rebuilds the exceptions of the standard library and of procpool. Each rebuilt exception has the
// type that was thrown, and exactly the original's what().
#include <any>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <typeinfo>
#include <utility>
#include <variant>

#include "procpool/errors.hpp"
#include "wire/exception_registry.hpp"

namespace procpool::wire {
namespace {

using detail::exception_entry;
using detail::wire_reader;
using detail::wire_writer;

// Types that are constructed from their what(), or from nothing.
template <class T>
T make(const std::string& what) {
  if constexpr (std::is_constructible_v<T, const std::string&>) {
    return T(what);
  } else {
    return T();
  }
}

template <class T>
constexpr exception_entry simple() {
  return {&typeid(T), [](wire_writer&, const std::exception_ptr&) {},
          [](wire_reader& reader, const std::string& what, const std::exception_ptr& nested) {
            reader.expect_end();
            return detail::rebuild_text<T>(make<T>(what), what, nested);
          }};
}

// Types with more content: parts(e) is encoded, build(parts...) constructs the exception from it.
template <class T, auto Parts, auto Build>
constexpr exception_entry composed() {
  using parts = detail::stored_parts_t<decltype(Parts(std::declval<const T&>()))>;
  return {&typeid(T),
          [](wire_writer& writer, const std::exception_ptr& in_flight) {
            try {
              std::rethrow_exception(in_flight);
            } catch (const T& e) {
              detail::put_as<parts>(writer, Parts(e));
            }
          },
          [](wire_reader& reader, const std::string& what, const std::exception_ptr& nested) {
            const auto value = detail::decode<parts>(reader);
            reader.expect_end();
            return detail::rebuild_text<T>(std::apply(Build, value), what, nested);
          }};
}

// Error codes: a category is an object, identified by its name. A category outside the standard
// library cannot be rebuilt, and its exception becomes a remote_error.
using code_parts = std::tuple<std::string, int>;

code_parts parts_of(const std::error_code& code) { return {code.category().name(), code.value()}; }

std::error_code code_of(const code_parts& parts) {
  const auto& [name, value] = parts;
  for (const std::error_category* known : {&std::generic_category(), &std::system_category(),
                                           &std::iostream_category(), &std::future_category()}) {
    if (name == known->name()) {
      return {value, *known};
    }
  }
  throw codec_error("cannot decode: the error category '" + name + "' is not known here");
}

constexpr auto code_of_error = [](const auto& e) { return std::make_tuple(parts_of(e.code())); };

constexpr auto make_system_error = [](const code_parts& code) {
  return std::system_error(code_of(code));
};
constexpr auto make_failure = [](const code_parts& code) {
  return std::ios_base::failure(std::string(), code_of(code));
};
constexpr auto filesystem_parts = [](const std::filesystem::filesystem_error& e) {
  return std::make_tuple(parts_of(e.code()), e.path1(), e.path2());
};
constexpr auto make_filesystem_error = [](const code_parts& code, const auto& p1, const auto& p2) {
  return std::filesystem::filesystem_error(std::string(), p1, p2, code_of(code));
};
constexpr auto regex_parts = [](const std::regex_error& e) {
  return std::make_tuple(static_cast<int>(e.code()));
};
constexpr auto make_regex_error = [](int code) {
  return std::regex_error(static_cast<std::regex_constants::error_type>(code));
};
constexpr auto future_parts = [](const std::future_error& e) {
  return std::make_tuple(e.code().value());
};
constexpr auto make_future_error = [](int code) {
  return std::future_error(static_cast<std::future_errc>(code));
};

constexpr auto remote_parts = [](const remote_error& e) {
  return std::make_tuple(e.type_name(), e.where());
};

// Errors about the death of a worker keep its record. (A task may have a pool of its own.)
constexpr auto death_parts = [](const task_killed& e) {
  return std::make_tuple(death_record{e.label(), e.pid(), e.signal(), e.exit_code(), e.attempt(),
                                      e.core_dumped(), e.will_retry()});
};
constexpr auto make_worker_crashed = [](const death_record& record) {
  return worker_crashed(record);
};
constexpr auto timeout_parts = [](const task_timeout& e) {
  return std::make_tuple(death_record{e.label(), e.pid(), e.signal(), e.exit_code(), e.attempt(),
                                      e.core_dumped(), e.will_retry()},
                         e.limit().count());
};
constexpr auto make_task_timeout = [](death_record record, double limit) {
  record.time_limit = duration(limit);
  return task_timeout(record);
};
constexpr auto make_task_killed = [](const death_record& record) {
  return task_killed(std::string(), record);
};
constexpr auto make_remote_error = [](const std::string& type_name, const std::string& where) {
  return remote_error(type_name, std::string(), where);
};

}  // namespace

std::span<const exception_entry> standard_exceptions() {
  static const std::array entries{
      simple<std::exception>(),
      simple<std::logic_error>(),
      simple<std::invalid_argument>(),
      simple<std::domain_error>(),
      simple<std::length_error>(),
      simple<std::out_of_range>(),
      simple<std::runtime_error>(),
      simple<std::range_error>(),
      simple<std::overflow_error>(),
      simple<std::underflow_error>(),
      simple<std::bad_alloc>(),
      simple<std::bad_array_new_length>(),
      simple<std::bad_cast>(),
      simple<std::bad_typeid>(),
      simple<std::bad_exception>(),
      simple<std::bad_any_cast>(),
      simple<std::bad_function_call>(),
      simple<std::bad_optional_access>(),
      simple<std::bad_variant_access>(),
      simple<std::bad_weak_ptr>(),
      composed<std::system_error, code_of_error, make_system_error>(),
      composed<std::ios_base::failure, code_of_error, make_failure>(),
      composed<std::filesystem::filesystem_error, filesystem_parts, make_filesystem_error>(),
      composed<std::regex_error, regex_parts, make_regex_error>(),
      composed<std::future_error, future_parts, make_future_error>(),
      simple<error>(),
      simple<cancelled_error>(),
      simple<timeout_error>(),
      simple<broken_executor>(),
      simple<broken_process_pool>(),
      simple<broken_thread_pool>(),
      simple<shutdown_error>(),
      simple<nested_use_error>(),
      simple<invalid_state_error>(),
      simple<broken_barrier_error>(),
      simple<queue_closed_error>(),
      simple<unsafe_fork_error>(),
      simple<manager_lost_error>(),
      simple<authentication_error>(),
      simple<codec_error>(),
      composed<remote_error, remote_parts, make_remote_error>(),
      composed<task_killed, death_parts, make_task_killed>(),
      composed<worker_crashed, death_parts, make_worker_crashed>(),
      composed<task_timeout, timeout_parts, make_task_timeout>(),
  };
  return entries;
}

}  // namespace procpool::wire
