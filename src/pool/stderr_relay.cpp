#include "pool/stderr_relay.hpp"

#include <new>
#include <utility>

#include "os/poll.hpp"
#include "os/socket.hpp"
#include "os/terminal.hpp"

namespace procpool::parent {
namespace {

constexpr std::size_t most_kept = 4096;
constexpr std::size_t most_writers = 1024;  // a task may start any number of processes
constexpr std::size_t most_backlog = std::size_t{1} << 20U;
constexpr int stderr_fd = 2;
constexpr std::chrono::seconds last_wait{1};

}  // namespace

stderr_relay stderr_relay::make() {
  os::signed_stream stream = os::make_signed_stream();
  stderr_relay relay;
  relay.reader_ = os::private_fd(std::move(stream.reader));
  relay.writer_ = os::private_fd(std::move(stream.writer));
  return relay;
}

int stderr_relay::writable_fd() const noexcept { return backlog_.empty() ? -1 : stderr_fd; }

bool stderr_relay::read_some() {
  char buffer[16384];
  const os::signed_bytes got = os::read_signed(reader_.get(), buffer);
  if (got.size == 0) return false;
  backlog_.append(buffer, got.size);
  if (tails_.size() >= most_writers && !tails_.contains(got.pid)) return true;
  std::string& tail = tails_[got.pid];
  tail.append(buffer, got.size);
  if (tail.size() > most_kept) tail.erase(0, tail.size() - most_kept);
  return true;
}

void stderr_relay::write_backlog() { backlog_.erase(0, os::try_write_stderr(backlog_)); }

void stderr_relay::pump() {
  if (!reader_.is_ours()) return;
  write_backlog();
  // A bounded number of turns: the supervisor also has deaths to handle.
  for (int i = 0; i < 64 && backlog_.empty() && read_some(); ++i) write_backlog();
}

std::string stderr_relay::take_tail(pid_t pid) noexcept {
  if (!reader_.is_ours()) return {};
  try {
    // Other workers may write meanwhile: reads at most as much as the dead worker may have left.
    while (backlog_.size() < most_backlog && read_some()) {
    }
  } catch (const std::bad_alloc&) {
    // Without memory the tail is missing.
  }
  const auto at = tails_.find(pid);
  if (at == tails_.end()) return {};
  std::string tail = std::move(at->second);
  tails_.erase(at);
  return tail;
}

void stderr_relay::finish() {
  if (!reader_.is_ours()) return;
  const auto end = std::chrono::steady_clock::now() + last_wait;
  do {
    try {
      pump();
    } catch (const std::bad_alloc&) {
      return;  // the rest is lost
    }
    if (backlog_.empty()) return;
    os::poll_one(stderr_fd, os::poll_for::output, std::chrono::milliseconds(50));
  } while (std::chrono::steady_clock::now() < end);
}

}  // namespace procpool::parent
