// The client's half of a call by a proxy, in any process: the program, a worker, a child or a
// manager. A call takes an idle connection to the manager or makes one, sends the request and
// receives the reply.
#include "manager/proxy_call.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "manager/protocol.hpp"
#include "objects/parent_registry.hpp"
#include "os/child_setup.hpp"
#include "os/error.hpp"
#include "os/limits.hpp"
#include "os/local_socket.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "procpool/detail/rpc/managed.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"
#include "wire/exception_codec.hpp"

namespace procpool {
namespace manager_protocol {
namespace {

constexpr std::size_t most_idle = 8;       // connections to one manager
constexpr std::size_t most_managers = 16;  // managers with idle connections

// The connections of this process that no call uses now. A copy of the process starts with an empty
// store: its descriptors of the connections are closed, and the lock may be held by a thread that
// the copy does not have.
class connection_store {
 public:
  static connection_store& here() {
    static std::atomic<connection_store*> current{nullptr};
    connection_store* store = current.load(std::memory_order_acquire);
    while (store == nullptr || store->pid_ != os::this_process()) {
      auto* const fresh = new connection_store;
      if (current.compare_exchange_strong(store, fresh, std::memory_order_acq_rel)) return *fresh;
      delete fresh;  // another thread was faster
    }
    return *store;
  }

  os::private_fd acquire(const std::string& name) {
    const base::lock_guard lock(mutex_);
    const auto at = idle_.find(name);
    if (at == idle_.end()) return {};
    os::private_fd last;
    // The program may have closed some of the descriptors.
    while (!last.is_ours() && !at->second.empty()) {
      last = std::move(at->second.back());
      at->second.pop_back();
    }
    return last.is_ours() ? std::move(last) : os::private_fd();
  }
  void put_back(const std::string& name, os::private_fd connection) {
    const base::lock_guard lock(mutex_);
    if (!idle_.contains(name)) drop_ended();
    if (idle_.size() >= most_managers && !idle_.contains(name)) idle_.clear();
    auto& list = idle_[name];
    if (list.size() < most_idle) list.push_back(std::move(connection));
  }
  void forget(const std::string& name) {
    const base::lock_guard lock(mutex_);
    idle_.erase(name);
  }

 private:
  // Drops connections whose managers have ended: an idle connection becomes readable only then.
  void drop_ended() REQUIRES(mutex_) {
    std::erase_if(idle_, [](const auto& of) {
      return of.second.empty() || os::is_readable(of.second.back().get());
    });
  }

  const pid_t pid_ = os::this_process();
  base::mutex mutex_;
  std::map<std::string, std::vector<os::private_fd>> idle_ GUARDED_BY(mutex_);
};

os::private_fd connect(const std::string& name, const manager_address& to) {
  os::private_fd fresh(os::connect_local(name));
  if (!fresh) {
    const int error = errno;
    if (error == ECONNREFUSED) throw_lost();
    throw_system(error, "cannot reach a manager");
  }
  // The user is checked before the secret is sent.
  if (const auto user = os::peer_user(fresh.get()); !user || *user != to.user) {
    throw manager_lost_error(
        "procpool: a process of another user listens under this manager's name: the manager has "
        "ended, and the other process has taken its name, or this process has entered another user "
        "namespace");
  }
  // If the manager declines, its answer contains the reason: see exchange().
  static_cast<void>(os::send_all(fresh.get(), std::as_bytes(std::span(&to.secret, 1))));
  return fresh;
}

}  // namespace

void forget_connections(const std::string& name) { connection_store::here().forget(name); }

void throw_lost() {
  throw manager_lost_error(
      "procpool: the process of this manager has ended, and its objects with it");
}

void throw_system(int error, const std::string& what) {
  os::throw_error(
      error,
      (os::lacks_descriptors(error) ? what + ": " + os::descriptor_advice(error) : what).c_str());
}

}  // namespace manager_protocol

namespace detail {

namespace protocol = manager_protocol;
using protocol::manager_address;
using protocol::message;
using protocol::message_head;
using protocol::message_kind;

// Hidden, although the enclosing class is exported.
struct __attribute__((visibility("hidden"))) manager_reply::state {
  std::string name;
  os::private_fd connection;  // empty: this process is the manager
  bool answered = false;      // the whole answer has arrived on the connection
  message_head head;          // of the reply of this process's own manager,
  noting_writer local;        // and its bytes
  message received;
  std::vector<shared_object> named;
  std::unique_ptr<wire_reader> reader;

  ~state() { finish(); }
  void ask(const shared_object& token, message_kind kind, const void* thunk, noting_writer& bytes);
  void exchange(const manager_address& to, message_head request, noting_writer& bytes);
  void open();
  void finish() noexcept;
};

void require_caller(const shared_object& token) {
  if (!token) {
    throw invalid_state_error(
        "procpool: this proxy is empty: it was moved from, or never had an object");
  }
  const runtime::process_role role = runtime::current_role();
  if (role == runtime::process_role::worker) return;
  const auto* const here =
      role == runtime::process_role::parent ? parent::parent_registry::existing() : nullptr;
  if (here != nullptr && token.mapping()->owner == here) return;
  throw nested_use_error(
      "procpool: a process that was forked from the program, or from one of its workers, cannot "
      "call the managers that it has inherited, nor have any in a task");
}

void manager_reply::state::ask(const shared_object& token, message_kind kind, const void* thunk,
                               noting_writer& bytes) {
  require_caller(token);
  manager_address to;
  if (token.bytes() < sizeof(to)) throw codec_error("a proxy names no object of a manager");
  std::memcpy(&to, token.data(), sizeof(to));
  if (to.number == 0) {
    throw nested_use_error(
        "procpool: a static proxy has its object in the program only: pass it to the task as an "
        "argument");
  }
  message_head request;
  request.kind = kind;
  request.number = to.number;
  request.token = token.mapping()->ref;
  request.code = to_code_ref(thunk).bits;
  exchange(to, request, bytes);
  open();
}

// Sends one request and receives its reply, or calls the manager of this process.
void manager_reply::state::exchange(const manager_address& to, message_head request,
                                    noting_writer& bytes) {
  name.assign(to.name, strnlen(to.name, sizeof(to.name)));
  request.names_objects = bytes.append_objects() ? 1 : 0;
  protocol::local_manager* const here = protocol::this_manager();
  if (here != nullptr && here->name() == name) {
    message m{request, {bytes.data(), bytes.data() + bytes.size()}};
    here->handle(m, head, local);
    received = {head, {local.data(), local.data() + local.size()}};
    return;
  }
  connection = protocol::connection_store::here().acquire(name);
  if (!connection) connection = protocol::connect(name, to);
  const bool sent = protocol::send(connection.get(), request, bytes);
  // Receives also if the request was not sent whole: a manager that declines sends the reason.
  if (!protocol::receive(connection.get(), received)) {
    protocol::connection_store::here().forget(name);
    protocol::throw_lost();
  }
  answered = sent;
}

void manager_reply::state::open() {
  std::size_t size = 0;
  if (received.head.kind == message_kind::value) {
    named = protocol::adopt_objects(received, size);
    reader = std::make_unique<wire_reader>(received.bytes.data(), size);
    return;
  }
  if (received.head.kind != message_kind::exception) {
    answered = false;
    throw codec_error("a manager sent no reply");
  }
  wire_reader in(received.bytes.data(), received.bytes.size());
  std::rethrow_exception(procpool::wire::decode_exception(in, {}));
}

manager_reply::manager_reply(const shared_object& token, make_thunk thunk, noting_writer& request)
    : state_(std::make_unique<state>()) {
  state_->ask(token, message_kind::make, reinterpret_cast<const void*>(thunk), request);
}

manager_reply::manager_reply(const shared_object& token, call_thunk thunk, noting_writer& request)
    : state_(std::make_unique<state>()) {
  state_->ask(token, message_kind::call, reinterpret_cast<const void*>(thunk), request);
}

manager_reply::~manager_reply() = default;

wire_reader& manager_reply::reader() { return *state_->reader; }

// This process holds the objects that the reply names, so the manager may release them, and the
// next call may use the connection. A connection whose reply did not arrive whole (for lack of
// memory) is closed.
void manager_reply::state::finish() noexcept {
  if (!connection || !answered) return;
  if (received.head.names_objects != 0 && !protocol::send(connection.get(), message_kind::taken)) {
    return;
  }
  try {
    protocol::connection_store::here().put_back(name, std::move(connection));
  } catch (const std::bad_alloc&) {
    // The connection is closed instead.
  }
}

}  // namespace detail

}  // namespace procpool
