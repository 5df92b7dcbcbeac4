// procpool::manager: a process that owns objects, and procpool::proxy<T>: a handle of one of them.
//
//   procpool::manager m;
//   auto words = m.make<std::map<std::string, int>>();
//   pool.for_each(procpool::partial(count_words, words), files);   // in many workers at once:
//     words.call([](auto& w, const std::string& word) { ++w[word]; }, word);
//
// call(f, args...) runs f(object, args...) in the manager and comes back with its result, or throws
// its exception. One call at a time runs on an object. f, the arguments and the result are those of
// a task: see docs/guide/independent-tasks.md; the object itself can be anything.
//
// A proxy is a handle, as shared_value is: copy it, pass it to tasks and processes and to other
// calls, return it, keep it in an object of the manager. The object lives while a proxy of it is
// anywhere; those of a dead process do not count. It is destroyed in the manager within about a
// second of the last one's end.
//
// A call into an object from within a call into the same object runs at once (in the manager
// itself); two objects that call each other want an order, as two mutexes do. A manager that ends,
// by whatever, ends all calls with manager_lost_error.
#pragma once

#include <sys/types.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "procpool/detail/rpc/managed.hpp"
#include "procpool/export.hpp"
#include "procpool/process.hpp"

namespace procpool {

template <class T>
class proxy;

// Movable, not copyable. Its members may be called by several threads at once, and only in the
// process that has made it: elsewhere they throw nested_use_error.
class PROCPOOL_EXPORT manager {
 public:
  // Blocks until the process is there, for 30 s at most. Throws as the constructor of
  // procpool::process, and procpool::error when the process ends as it begins, or is late.
  manager() : manager(process_options{}) {}
  explicit manager(process_options options);
  manager(manager&&) noexcept;
  manager& operator=(manager&&) noexcept;
  manager(const manager&) = delete;
  manager& operator=(const manager&) = delete;
  // The objects are destroyed, calls that are under way throw manager_lost_error; waits for that,
  // and after 5 s ends the process, which takes 5 s more at most (see ~process).
  ~manager();

  // A T(args...) in the manager; the arguments arrive as those of a task. Blocks. Throws what the
  // constructor throws, manager_lost_error, and std::system_error (ENOSPC: each object takes one of
  // the 16,383 shared objects of a process).
  template <class T, class... Args>
  [[nodiscard]] proxy<T> make(Args&&... args) {
    static_assert(
        (detail::require_can_travel<detail::stored_t<Args>, detail::bound_for::worker>() && ...));
    static_assert(std::is_constructible_v<T, detail::stored_t<Args>...>,
                  "procpool: the object cannot be made of these arguments, which arrive as rvalues "
                  "of their stored types");
    detail::message_writer request;
    (detail::put_as<detail::stored_t<Args>>(request, args), ...);
    return proxy<T>(make_object(&detail::make_managed<T, detail::stored_t<Args>...>, request));
  }

  pid_t pid() const;
  bool is_alive() const;
  // The destructor's work, now. Any number of times.
  void shutdown() noexcept;

 private:
  detail::shared_object make_object(detail::make_thunk thunk, detail::message_writer& request);
  struct state;
  state& use() const;
  std::unique_ptr<state> state_;
};

// Empty if default constructed or moved from: then call() throws invalid_state_error. Copies may be
// used by different threads at once; in a process that was forked by other means than this library
// call() throws nested_use_error.
template <class T>
class proxy {
 public:
  using element_type = T;

  proxy() noexcept = default;

  // Blocks until f has run, and as long as the manager is stopped. Throws what f throws (see
  // docs/exceptions.md), what codecs throw, manager_lost_error, and std::system_error (EMFILE,
  // EAGAIN) when there is no descriptor or thread for another connection, here or in the manager.
  template <class F, class... Args>
  auto call(F f, Args&&... args) const {
    using body = detail::managed_call<T, F, Args...>;
    using result = typename body::result_type;
    detail::message_writer request;
    detail::put_function(request, f);
    (detail::put_as<detail::stored_t<Args>>(request, args), ...);
    detail::manager_reply reply(token_, &body::run, request);
    if constexpr (!std::is_void_v<result>) {
      result value = detail::wire<result>::take(reply.reader());
      reply.reader().expect_end();
      return value;
    }
  }

  explicit operator bool() const noexcept { return static_cast<bool>(token_); }
  // Whether it is the same object.
  friend bool operator==(const proxy& a, const proxy& b) noexcept { return a.token_ == b.token_; }

 private:
  friend class manager;
  friend detail::wire<proxy>;
  explicit proxy(detail::shared_object token) noexcept : token_(std::move(token)) {}

  detail::shared_object token_;  // its memory says where the object is
};

namespace detail {

template <class T>
struct wire<proxy<T>> : wire_composite<> {
  static void put(wire_writer& writer, const proxy<T>& p) { p.token_.put(writer); }
  static proxy<T> take(wire_reader& reader) {
    return proxy<T>(shared_object::take(reader, object_access::read_only));
  }
};

}  // namespace detail
}  // namespace procpool
