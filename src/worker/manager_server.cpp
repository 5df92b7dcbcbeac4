// Objects are counted by nobody here: each has a token, a shared object of the program, which all
// its proxies refer to (see parent/manager.cpp). When that is free, no proxy is left anywhere, and
// the object goes. The table says so, and is looked at now and then.
#include "worker/manager_server.hpp"

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "os/child_setup.hpp"
#include "os/event_fd.hpp"
#include "os/local_socket.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "os/socket.hpp"
#include "procpool/detail/code_ref.hpp"
#include "procpool/errors.hpp"
#include "sync/manager_link.hpp"
#include "wire/exception_codec.hpp"
#include "worker/objects.hpp"

namespace procpool::worker {
namespace {

using detail::object_ref;
using sync::message;
using sync::message_head;
using sync::message_kind;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds look_pause{250}, no_limit{-1}, retry_pause{10};

struct kept_object {
  std::recursive_mutex mutex;  // a call may come back to the object that it began in
  std::unique_ptr<detail::managed_object> object;
  object_ref token;
};

class manager_server final : public sync::local_manager {
 public:
  manager_server(std::string name, sync::manager_secret secret)
      : name_(std::move(name)), secret_(secret), wake_(os::make_event_fd()) {}

  // Until the other end of `parent` is gone.
  void run(int listener, int parent);

  const std::string& name() const noexcept override { return name_; }
  void handle(const message& request, message_head& head, detail::message_writer& reply) override;

 private:
  void accept(int listener);
  void serve(os::unique_fd connection);
  bool serve_one(int connection, message& request);
  void act(const message& request, detail::message_writer& reply);
  void make(const message_head& head, detail::wire_reader& in);
  std::shared_ptr<kept_object> find(std::uint64_t number);
  std::vector<std::shared_ptr<kept_object>> take_dead(bool all);
  bool has_objects();

  const std::string name_;
  const sync::manager_secret secret_;
  const os::private_fd wake_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<kept_object>> objects_;
};

void manager_server::run(int listener, int parent) {
  for (;;) {
    std::array<os::poll_item, 3> items{};
    items[0].fd = parent;
    items[1].fd = listener;
    items[2].fd = wake_.get();
    os::clear_event_fd(wake_.get());  // before has_objects()
    os::poll_items(items, has_objects() ? look_pause : no_limit);
    if (items[0].readable) break;
    if (items[1].readable) accept(listener);
    take_dead(false);  // and destroys them
  }
  // Those that a call is using stay as they are: the process ends.
  take_dead(true);
}

bool manager_server::has_objects() {
  const std::lock_guard lock(mutex_);
  return !objects_.empty();
}

std::vector<std::shared_ptr<kept_object>> manager_server::take_dead(bool all) {
  std::vector<std::shared_ptr<kept_object>> dead;
  const std::lock_guard lock(mutex_);
  for (auto at = objects_.begin(); at != objects_.end();) {
    if (all || !objects_here().is_used(at->second->token)) {
      dead.push_back(std::move(at->second));
      at = objects_.erase(at);
    } else {
      ++at;
    }
  }
  return dead;
}

void manager_server::accept(int listener) {
  os::unique_fd connection = os::accept_local(listener);
  try {
    if (connection) {
      std::thread([this, c = std::move(connection)]() mutable { serve(std::move(c)); }).detach();
      return;
    }
  } catch (const std::system_error&) {
    // No thread for this one: it is told by the end of the connection.
  }
  os::poll_items({}, retry_pause);  // descriptors or threads have run out; they come back
}

void manager_server::serve(os::unique_fd connection) {
  const os::private_fd own(std::move(connection));
  sync::manager_secret given;
  if (!os::peer_is_same_user(own.get()) ||
      !os::receive_all(own.get(), std::as_writable_bytes(std::span(&given, 1))) ||
      given != secret_) {
    return;
  }
  try {
    message request;
    while (serve_one(own.get(), request)) {
    }
  } catch (const std::bad_alloc&) {
    // The client hears of it by the end of the connection.
  }
}

bool manager_server::serve_one(int connection, message& request) {
  if (!sync::receive(connection, request)) return false;
  message_head head;
  detail::message_writer reply;
  handle(request, head, reply);
  if (!sync::send(connection, head, reply)) return false;
  if (head.names_objects == 0) return true;
  // What the reply names is held by `reply` until the client holds it.
  return sync::receive_taken(connection);
}

void manager_server::handle(const message& request, message_head& head,
                            detail::message_writer& reply) {
  try {
    act(request, reply);
    head.kind = message_kind::value;
    head.names_objects = reply.append_objects() ? 1 : 0;
  } catch (...) {
    reply.restart();
    head.kind = message_kind::exception;
    head.names_objects = 0;
    wire::encode_exception(reply, std::current_exception(), wire::origin::here(-1));
  }
}

void manager_server::act(const message& request, detail::message_writer& reply) {
  std::size_t size = 0;
  const auto named = sync::adopt_objects(request, size);
  detail::wire_reader in(request.bytes.data(), size);
  if (request.head.kind == message_kind::make) {
    make(request.head, in);
    return;
  }
  if (request.head.kind != message_kind::call) throw codec_error("a manager got no request");
  const auto thunk =
      reinterpret_cast<detail::call_thunk>(detail::from_code_ref({request.head.code}));
  const std::shared_ptr<kept_object> kept = find(request.head.number);
  const std::lock_guard one_at_a_time(kept->mutex);
  thunk(*kept->object, in, reply);
}

void manager_server::make(const message_head& head, detail::wire_reader& in) {
  const auto thunk = reinterpret_cast<detail::make_thunk>(detail::from_code_ref({head.code}));
  auto kept = std::make_shared<kept_object>();
  kept->object = thunk(in);
  kept->token = head.token;
  const std::lock_guard lock(mutex_);
  objects_[head.number] = std::move(kept);
  os::signal_event_fd(wake_.get());  // it is to be looked after
}

std::shared_ptr<kept_object> manager_server::find(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto at = objects_.find(number);
  if (at == objects_.end()) throw codec_error("a proxy names no object of its manager");
  return at->second;
}

// The listener comes from the parent, so that it is there before any proxy is.
os::private_fd receive_listener(int parent) {
  std::byte one{};
  auto received = os::receive_message(parent, {&one, 1}, os::blocking::yes);
  if (received.size != 1 || received.fd_count != 1) return {};
  return os::private_fd(std::move(received.fds[0]));
}

}  // namespace

void serve_manager(const std::string& name, std::uint64_t secret0, std::uint64_t secret1) {
  os::ignore_interrupts();  // the program decides when it ends
  const sync::manager_secret secret{{secret0, secret1}};
  const os::private_fd parent(os::connect_local(name));
  if (!parent || !os::peer_is_same_user(parent.get()) ||
      !os::send_all(parent.get(), std::as_bytes(std::span(&secret, 1)))) {
    return;  // the parent is gone
  }
  const os::private_fd listener = receive_listener(parent.get());
  if (!listener) return;
  // Threads may still use it when the process ends.
  auto& server = *new manager_server(name, secret);
  sync::set_this_manager(server);
  server.run(listener.get(), parent.get());
}

}  // namespace procpool::worker
