// procpool::manager: a process that owns objects, and procpool::proxy<T>: a handle of one of them.
//
//   procpool::manager m;
//   auto words = m.make<std::map<std::string, int>>();
//   pool.for_each(procpool::partial(count_words, words), files);   // in many workers at once:
//     words.call([](auto& w, const std::string& word) { ++w[word]; }, word);
//
// call(f, args...) runs f(object, args...) in the manager and returns its result or throws its
// exception. One call at a time runs on an object. f, the arguments and the result follow the rules
// for tasks: see docs/guide/independent-tasks.md; the object itself can be of any type.
//
// A proxy is a handle, as shared_value is: copy it, pass it to tasks and processes and to other
// calls, return it, keep it in an object of the manager. The object lives while any process holds a
// proxy of it; the proxies of a dead process are released. The manager destroys the object within
// about a second of the end of its last proxy.
//
// A call into an object from within a call into the same object runs at once (in the manager
// itself). Objects that call each other need a fixed order of calls, as mutexes do. When the
// manager process ends, for whatever reason, all calls throw manager_lost_error.
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

// Movable, not copyable. Several threads may call its members at once, but only in the process that
// made it: in other processes they throw nested_use_error.
class PROCPOOL_EXPORT manager {
 public:
  // Blocks until the process has started, for 30 s at most. Throws as the constructor of
  // procpool::process, and procpool::error when the process ends while it starts, or is late.
  manager() : manager(process_options{}) {}
  explicit manager(process_options options);
  manager(manager&&) noexcept;
  manager& operator=(manager&&) noexcept;
  manager(const manager&) = delete;
  manager& operator=(const manager&) = delete;
  // Destroys the objects; calls in progress throw manager_lost_error. Waits for the process to end,
  // kills it after 5 s, and then waits for 5 s more at most (see ~process).
  ~manager();

  // Constructs T(args...) in the manager; the arguments arrive as those of a task. Blocks. Throws
  // exceptions of the constructor, manager_lost_error, and std::system_error (ENOSPC: each object
  // takes one of the 16,383 shared objects of a process).
  template <class T, class... Args>
  [[nodiscard]] proxy<T> make(Args&&... args) {
    static_assert(
        (detail::require_can_travel<detail::stored_t<Args>, detail::bound_for::worker>() && ...));
    static_assert(std::is_constructible_v<T, detail::stored_t<Args>...>,
                  "procpool: the object cannot be made of these arguments, which arrive as rvalues "
                  "of their stored types");
    detail::noting_writer request;
    (detail::put_as<detail::stored_t<Args>>(request, args), ...);
    return proxy<T>(make_object(&detail::make_managed<T, detail::stored_t<Args>...>, request));
  }

  pid_t pid() const;
  bool is_alive() const;
  // Does the destructor's work now. May be called any number of times.
  void shutdown() noexcept;

 private:
  detail::shared_object make_object(detail::make_thunk thunk, detail::noting_writer& request);
  struct state;
  state& use() const;
  std::unique_ptr<state> state_;
};

// Empty if default constructed or moved from: then call() throws invalid_state_error. Different
// threads may use copies at once. In a process that was not started by this library (fork), call()
// throws nested_use_error.
template <class T>
class proxy {
 public:
  using element_type = T;

  proxy() noexcept = default;

  // Blocks until f has run, and as long as the manager is stopped. Throws exceptions of f (see
  // docs/exceptions.md) and of codecs, manager_lost_error, and std::system_error (EMFILE, EAGAIN)
  // when this process or the manager lacks a descriptor or thread for another connection.
  template <class F, class... Args>
  auto call(F f, Args&&... args) const {
    using body = detail::managed_call<T, F, Args...>;
    using result = typename body::result_type;
    detail::noting_writer request;
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
  // Whether both proxies refer to the same object.
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
