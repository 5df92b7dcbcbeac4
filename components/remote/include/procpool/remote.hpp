// Remote managers: functions and objects of this process for clients in other processes and on
// other machines, over TCP or a Unix socket. A header of its own, with a library of its own:
// procpool::remote, which needs OpenSSL.
//
//   inline constexpr procpool::remote_function<int(int, int)> add{"add"};   // a header of both
//
//   procpool::remote_server server({.address = "0.0.0.0:7000", .key = key});
//   server.expose(add, [](int a, int b) { return a + b; });
//   server.start();
//
//   procpool::remote_client client({.address = "crunch:7000", .key = key});
//   client.call(add, 2, 3);             // or client.call<int>("add", 2, 3)
//
// A client can run only the functions that a server exposes by name; arguments and results are
// values, never functions or handles. Both sides know the key and prove it to each other; the key
// is never sent, and each message carries an authentication code. Nothing is encrypted: see
// docs/guide/remote-managers.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "procpool/detail/rpc/remote_call.hpp"
#include "procpool/detail/rpc/remote_crypto.hpp"
#include "procpool/errors.hpp"
#include "procpool/export.hpp"
#include "procpool/options.hpp"

namespace procpool {

// The name and the type of an exposed function, in a header that both sides include. Parameters and
// result have the types that travel: the client's arguments are converted to them.
template <class Signature>
class remote_function;

template <class R, class... P>
class remote_function<R(P...)> {
 public:
  using result_type = std::decay_t<R>;
  using parameters = detail::type_list<P...>;
  // The text must live as long as this object: use a literal.
  explicit constexpr remote_function(const char* name) noexcept : name_(name) {}
  constexpr const char* name() const noexcept { return name_; }

 private:
  const char* name_;
};

// 32 random bytes as 64 letters. Throws std::system_error.
PROCPOOL_EXPORT std::string make_remote_key();
inline constexpr std::size_t shortest_remote_key = 16;  // bytes

struct remote_server_options {
  // "host:port", "[v6]:port", or the path of a Unix socket, which contains a slash. With port 0 the
  // kernel chooses a free port.
  std::string address = {};
  // The key, which clients also have to know: random bytes, as from make_remote_key(). An attacker
  // who records a handshake could guess a password.
  std::string key = {};
  std::size_t max_message = std::size_t{64} << 20U;  // bytes, arguments and results each
  int max_connections = 256;       // more are refused; a client has one, and one more per thread
  std::size_t max_objects = 1000;  // of one client at a time
  duration handshake_timeout = duration(10);
  // For each MiB of a message; also how long a vanished machine stays unnoticed.
  duration stall_timeout = duration(30);
};

struct remote_client_options {
  std::string address = {};
  std::string key = {};
  std::size_t max_message = std::size_t{64} << 20U;
  duration connect_timeout = duration(10);  // including the handshake
  duration stall_timeout = duration(30);
  std::optional<duration> call_timeout = {};  // default: as long as the function runs
};

template <class T>
class remote_type;

// Movable, not copyable. One thread makes the server and exposes functions; after that several
// threads may call its members. In a process that was forked from its own process it does nothing.
class PROCPOOL_EXPORT remote_server {
 public:
  // Listens: clients can connect, and wait. Throws std::invalid_argument (an invalid address, a key
  // below 16 bytes, a limit that is too low) and std::system_error.
  explicit remote_server(remote_server_options options)
      : remote_server(std::move(options), detail::openssl_crypto()) {}
  remote_server(remote_server_options options, const detail::remote_crypto& crypto);
  remote_server(remote_server&&) noexcept;
  remote_server& operator=(remote_server&&) noexcept;
  // Calls stop().
  ~remote_server();

  // f(arguments) runs in a thread of the client's connection, concurrently with other functions,
  // and must protect the data that it shares with them. f may have captures. Names have 1 to 256
  // bytes. Throws std::invalid_argument for a name that is already exposed, invalid_state_error
  // after start().
  template <class F>
  void expose(const std::string& name, F f) {
    add_function(name, detail::expose_declared<void>(std::move(f)));
  }
  template <auto F>
  void expose(const std::string& name) {
    expose(name, F);
  }
  template <class Signature, class F>
  void expose(const remote_function<Signature>& what, F f) {
    using signature = remote_function<Signature>;
    add_function(what.name(), detail::make_exposed<F, typename signature::result_type, void>(
                                  std::move(f), typename signature::parameters{}));
  }
  // Exposes objects of this type: see remote_type.
  template <class T>
  remote_type<T> type(const std::string& name) {
    return remote_type<T>(*this, add_type(name));
  }

  // Begins to serve, in threads of its own. Throws std::system_error, and invalid_state_error if
  // called twice.
  void start();
  // Refuses new calls, waits for the running functions, and destroys the objects of clients. May be
  // called any number of times; throws invalid_state_error in a function that it would wait for.
  void stop();
  // Blocks until a thread calls request_stop() or stop(). request_stop does not wait; any thread
  // may call it, also in an exposed function.
  void wait();
  void request_stop() noexcept;

  // The server's address, with the chosen port.
  const std::string& address() const;
  // The current clients, with the numbers of their connections and objects.
  struct counts {
    std::size_t clients = 0, connections = 0, objects = 0;
  };
  counts count() const;

 private:
  template <class T>
  friend class remote_type;
  void add_function(const std::string& name, detail::remote_entry entry);
  detail::remote_type_entry& add_type(const std::string& name);
  void require_open(const std::string& name, bool is_new) const;
  struct state;
  state& use() const;
  std::unique_ptr<state> state_;
};

// A type of which clients may construct objects, call their methods, and find objects that the
// server provides. One call at a time runs on an object.
template <class T>
class remote_type {
 public:
  // client.make<T>(type name, args...) constructs T(args...).
  template <class... P>
  remote_type& constructor() {
    static_assert((detail::require_shape<detail::stored_t<P>>() && ...));
    const std::string& signature = detail::signature_of<void, detail::stored_t<P>...>();
    server_.require_open(signature, !entry_.constructors.contains(signature));
    entry_.constructors[signature] = [](detail::wire_reader& in) -> std::shared_ptr<void> {
      std::tuple<detail::stored_t<P>...> values{detail::wire<detail::stored_t<P>>::take(in)...};
      in.expect_end();
      return std::apply([](auto&... v) { return std::make_shared<T>(std::move(v)...); }, values);
    };
    return *this;
  }
  // f(T&, arguments): a function, a lambda or a member function.
  template <class F>
  remote_type& method(const std::string& name, F f) {
    return add(name, detail::expose_declared<T>(std::move(f)));
  }
  template <class Signature, class F>
  remote_type& method(const remote_function<Signature>& what, F f) {
    using signature = remote_function<Signature>;
    return add(what.name(), detail::make_exposed<F, typename signature::result_type, T>(
                                std::move(f), typename signature::parameters{}));
  }
  // client.find<T>(type name, name) finds this object, which all clients share.
  remote_type& object(const std::string& name, std::shared_ptr<T> shared) {
    server_.require_open(name, !entry_.objects.contains(name));
    entry_.objects[name] = std::move(shared);
    return *this;
  }

 private:
  friend class remote_server;
  remote_type(remote_server& server, detail::remote_type_entry& entry)
      : server_(server), entry_(entry) {}
  remote_type& add(const std::string& name, detail::remote_entry made) {
    server_.require_open(name, !entry_.methods.contains(name));
    entry_.methods[name] = std::move(made);
    return *this;
  }
  remote_server& server_;
  detail::remote_type_entry& entry_;
};

// A proxy of an object of a server. A handle: copies refer to the same object, which the server
// keeps while a copy exists. T only names the type, and need not be complete. Different threads may
// use copies at once. Empty if default constructed or moved from.
template <class T>
class remote_proxy {
 public:
  remote_proxy() noexcept = default;

  // Blocks. Throws as remote_client::call, and invalid_state_error if the proxy is empty.
  template <class R, class... Args>
  R call(const std::string& method, const Args&... args) const {
    return call_as<R>(method, detail::type_list<std::decay_t<const Args&>...>{}, args...);
  }
  template <class Signature, class... Args>
  auto call(const remote_function<Signature>& method, const Args&... args) const {
    using signature = remote_function<Signature>;
    return call_as<typename signature::result_type>(method.name(), typename signature::parameters{},
                                                    args...);
  }

  explicit operator bool() const noexcept { return object_ != nullptr; }

 private:
  friend class remote_client;
  explicit remote_proxy(std::shared_ptr<const detail::remote_object> object) noexcept
      : object_(std::move(object)) {}

  template <class R, class... P, class... Args>
  R call_as(const std::string& method, detail::type_list<P...> parameters,
            const Args&... args) const {
    if (object_ == nullptr) {
      throw invalid_state_error("procpool: this proxy of a remote object is empty");
    }
    detail::remote_request request;
    request.put_number(object_->number());
    request.put_text(method);
    return detail::call_remote<R>(*object_->link(), request, detail::remote_verb::method,
                                  parameters, args...);
  }
  std::shared_ptr<const detail::remote_object> object_;
};

// A handle: copies are the same client. Any thread; calls of different threads run concurrently. In
// a process that was forked from its own process, all members throw nested_use_error.
class PROCPOOL_EXPORT remote_client {
 public:
  // Connects, and proves the key. Throws std::invalid_argument, std::system_error,
  // authentication_error and timeout_error.
  explicit remote_client(remote_client_options options)
      : remote_client(std::move(options), detail::openssl_crypto()) {}
  remote_client(remote_client_options options, const detail::remote_crypto& crypto);

  // Blocks until the function has run, and returns its result as an R. Throws
  //   its exception       as a task's exceptions: see docs/exceptions.md
  //   codec_error         no function is exposed under that name with these types
  //   manager_lost_error  the server has ended, or cannot be reached: f may have run or not
  //   timeout_error       after call_timeout: the function keeps running
  // The types are part of the call: an int does not match a long.
  template <class R, class... Args>
  R call(const std::string& name, const Args&... args) const {
    detail::remote_request request;
    request.put_text(name);
    return detail::call_remote<R>(*link_, request, detail::remote_verb::call,
                                  detail::type_list<std::decay_t<const Args&>...>{}, args...);
  }
  template <class Signature, class... Args>
  auto call(const remote_function<Signature>& what, const Args&... args) const {
    using signature = remote_function<Signature>;
    detail::remote_request request;
    request.put_text(what.name());
    return detail::call_remote<typename signature::result_type>(
        *link_, request, detail::remote_verb::call, typename signature::parameters{}, args...);
  }
  // Makes a new object of the server, and finds an object that the server provides under a name.
  template <class T, class... Args>
  remote_proxy<T> make(const std::string& type, const Args&... args) const {
    detail::remote_request request;
    request.put_text(type);
    return remote_proxy<T>(hold(detail::ask_for_object(
        *link_, request, detail::type_list<std::decay_t<const Args&>...>{}, args...)));
  }
  template <class T>
  remote_proxy<T> find(const std::string& type, const std::string& name) const {
    return remote_proxy<T>(hold(ask_for(type, name)));
  }

 private:
  std::shared_ptr<const detail::remote_object> hold(std::uint64_t number) const {
    return std::make_shared<detail::remote_object>(link_, number);
  }
  std::uint64_t ask_for(const std::string& type, const std::string& name) const;
  std::shared_ptr<detail::remote_link> link_;
};

}  // namespace procpool
