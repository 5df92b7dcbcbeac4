// procpool::remote_client: one main connection, on which it sends the numbers of objects that it
// has released, and one connection for each call that is under way. A connection whose exchange did
// not complete is closed: bytes that may still arrive on it answer no request.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "os/child_setup.hpp"
#include "os/error.hpp"
#include "os/limits.hpp"
#include "os/private_fds.hpp"
#include "procpool/codec.hpp"
#include "procpool/remote.hpp"
#include "remote/channel.hpp"
#include "remote/handshake.hpp"
#include "remote/net_socket.hpp"
#include "remote/options.hpp"
#include "runtime/process_role.hpp"
#include "wire/exception_codec.hpp"

namespace procpool {

using remote::channel;
using remote::greeting;
using remote::message;
using remote::message_kind;
using remote::transfer;

namespace {

constexpr std::size_t most_idle = 8;

[[noreturn]] void throw_lost(const std::string& address, const std::string& why) {
  throw manager_lost_error("procpool: the remote server at " + address + " " + why);
}

[[noreturn]] void throw_greeting(greeting failed, const std::string& address) {
  const std::string server = "procpool: the remote server at " + address;
  if (failed == greeting::refused) {
    throw authentication_error(server + " has another key, or is not the right server");
  }
  if (failed == greeting::late) throw timeout_error(server + " did not answer in time");
  if (failed == greeting::impossible) {
    throw std::system_error(EIO, std::generic_category(),
                            "procpool: no random bytes or no cryptography available");
  }
  throw std::system_error(
      ECONNRESET, std::generic_category(),
      server +
          " closed the connection: it has reached max_connections, or has another version or "
          "byte order");
}

// The connections of a client, and its session with the server. Any thread.
class client_link final : public detail::remote_link {
 public:
  client_link(remote_client_options options, const detail::remote_crypto& crypto);
  ~client_link() override;

 private:
  using channel_ptr = std::unique_ptr<channel>;

  void exchange(detail::remote_verb verb, const detail::wire_writer& request,
                std::vector<std::byte>& reply) override;
  void drop(std::uint64_t object) noexcept override;

  channel_ptr connect() const;
  remote::welcome say_hello(channel& c, message_kind kind, detail::byte_span bytes) const;
  channel_ptr take();
  channel_ptr join() const;
  void put(channel_ptr c);
  void await_reply(channel& c, message& m) const;

  const remote_client_options options_;
  const detail::remote_crypto& crypto_;
  const pid_t pid_ = os::this_process();
  remote::welcome welcome_;
  base::mutex mutex_;
  std::vector<channel_ptr> idle_ GUARDED_BY(mutex_);
  base::mutex own_mutex_;
  channel_ptr own_ GUARDED_BY(own_mutex_);
};

client_link::client_link(remote_client_options options, const detail::remote_crypto& crypto)
    : options_(remote::checked(std::move(options))), crypto_(crypto) {
  runtime::install_fork_handlers();
  own_ = connect();
  welcome_ = say_hello(*own_, message_kind::open, {});
}

client_link::~client_link() {
  if (pid_ == os::this_process()) return;
  // The descriptors of a copy of the process are already closed.
  [[maybe_unused]] const channel* kept = own_.release();
  for (channel_ptr& c : idle_) kept = c.release();
}

client_link::channel_ptr client_link::connect() const {
  const remote::io_deadline until = remote::deadline_in(options_.connect_timeout);
  os::private_fd socket;
  try {
    socket = os::private_fd(remote::connect_to(options_.address, until));
  } catch (const std::system_error& e) {
    if (e.code() != std::errc::timed_out) throw;
    throw_greeting(greeting::late, options_.address);
  }
  const remote::channel_limits limits = remote::limits_of(options_);
  remote::watch_peer(socket.get(), limits.stall);
  remote::session_keys keys;
  const greeting g = remote::greet_server(socket.get(), options_.key, crypto_, until, keys);
  if (g != greeting::done) throw_greeting(g, options_.address);
  auto made =
      std::make_unique<channel>(std::move(socket), remote::side::client, keys, crypto_, limits);
  crypto_.wipe(&keys, sizeof(keys));
  return made;
}

remote::welcome client_link::say_hello(channel& c, message_kind kind,
                                       detail::byte_span bytes) const {
  message m;
  remote::welcome w;
  transfer end = c.send(kind, bytes);
  if (end == transfer::done) {
    end = c.receive(m, remote::deadline_in(options_.connect_timeout));
  }
  if (end == transfer::late) throw_greeting(greeting::late, options_.address);
  if (end != transfer::done || !remote::read_welcome(m, w)) {
    throw_lost(options_.address, "no longer knows this client: the client's objects are gone");
  }
  return w;
}

// Makes another connection of this client.
client_link::channel_ptr client_link::join() const {
  try {
    channel_ptr c = connect();
    say_hello(*c, message_kind::join, welcome_.client);
    return c;
  } catch (const manager_lost_error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::system_error& e) {
    // The server works: the call can be repeated once a descriptor is free.
    if (e.code().category() == std::generic_category() && os::lacks_descriptors(e.code().value())) {
      throw;
    }
    throw_lost(options_.address, std::string("cannot be reached: ") + e.what());
  } catch (const std::exception& e) {
    throw_lost(options_.address, std::string("cannot be reached: ") + e.what());
  }
}

client_link::channel_ptr client_link::take() {
  for (;;) {
    channel_ptr c;
    {
      const base::lock_guard lock(mutex_);
      if (idle_.empty()) break;
      c = std::move(idle_.back());
      idle_.pop_back();
    }
    if (!c->is_stale()) return c;
  }
  return join();
}

void client_link::put(channel_ptr c) {
  const base::lock_guard lock(mutex_);
  if (idle_.size() < most_idle) idle_.push_back(std::move(c));
}

void client_link::exchange(detail::remote_verb verb, const detail::wire_writer& request,
                           std::vector<std::byte>& reply) {
  if (pid_ != os::this_process()) {
    throw nested_use_error(
        "procpool: a remote client belongs to the process that has made it, not to one that was "
        "forked from it");
  }
  const std::uint64_t most = std::min<std::uint64_t>(options_.max_message, welcome_.max_message);
  if (request.size() > most) {
    throw codec_error("procpool: the arguments have " + std::to_string(request.size()) +
                      " bytes, and max_message is " + std::to_string(most));
  }
  channel_ptr c = take();
  if (c->send(static_cast<message_kind>(verb), {request.data(), request.size()}) !=
      transfer::done) {
    throw_lost(options_.address, "is gone, or no longer reads");
  }
  message m;
  await_reply(*c, m);
  put(std::move(c));
  if (m.kind == message_kind::value) {
    reply = std::move(m.bytes);
    return;
  }
  detail::wire_reader in(m.bytes.data(), m.bytes.size());
  std::rethrow_exception(wire::decode_exception(in, {}));
}

void client_link::await_reply(channel& c, message& m) const {
  const remote::io_deadline until =
      options_.call_timeout ? remote::deadline_in(*options_.call_timeout) : remote::no_deadline;
  switch (c.receive(m, until)) {
    case transfer::done:
      if (m.kind == message_kind::value || m.kind == message_kind::exception) return;
      [[fallthrough]];
    case transfer::forged:
      throw authentication_error("procpool: messages of the remote server at " + options_.address +
                                 " are changed on the way");
    case transfer::too_long:
      throw codec_error("procpool: the result is longer than max_message");
    case transfer::late:
      if (std::chrono::steady_clock::now() >= until) {
        throw timeout_error("procpool: call_timeout: the function keeps running at the server");
      }
      [[fallthrough]];
    case transfer::closed:
      break;
  }
  throw_lost(options_.address, "is gone: the called function may have run or not");
}

void client_link::drop(std::uint64_t object) noexcept {
  if (pid_ != os::this_process()) return;
  const base::lock_guard lock(own_mutex_);
  // If sending fails, the connection is useless, and the server ends this client.
  if (own_ &&
      own_->send(message_kind::drop, std::as_bytes(std::span(&object, 1))) != transfer::done) {
    own_.reset();
  }
}

}  // namespace

namespace detail {

remote_link::~remote_link() = default;

void remote_request::put_text(const std::string& text) { wire<std::string>::put(writer_, text); }

wire_writer& remote_request::arguments() {
  writer_.align(wire_alignment);
  return writer_;
}

wire_reader remote_request::send(remote_link& link, remote_verb verb) {
  link.exchange(verb, writer_, reply_);
  return {reply_.data(), reply_.size()};
}

}  // namespace detail

remote_client::remote_client(remote_client_options options, const detail::remote_crypto& crypto)
    : link_(std::make_shared<client_link>(std::move(options), crypto)) {}

std::uint64_t remote_client::ask_for(const std::string& type, const std::string& name) const {
  detail::remote_request request;
  request.put_text(type);
  request.put_text(name);
  return request.send(*link_, detail::remote_verb::find).read_value<std::uint64_t>("an object");
}

}  // namespace procpool
