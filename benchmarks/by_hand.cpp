// A pool as people write it by hand: forked children, each with a socket pair, structs and bytes
// through it. No futures, no replacement of the dead.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "contender.hpp"
#include "pooled.hpp"
#include "work.hpp"

namespace bench {
namespace {

struct request {
  enum class kind { next, compute, echo } what = kind::next;
  std::uint64_t value = 0;  // or bytes that follow
};

void send_all(int fd, const void* bytes, std::size_t size) {
  const auto* at = static_cast<const char*>(bytes);
  while (size != 0) {
    const ssize_t n = ::write(fd, at, size);
    if (n <= 0) ::_exit(1);
    at += n;
    size -= static_cast<std::size_t>(n);
  }
}
bool receive_all(int fd, void* bytes, std::size_t size) {
  auto* at = static_cast<char*>(bytes);
  while (size != 0) {
    const ssize_t n = ::read(fd, at, size);
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

[[noreturn]] void serve(int fd) {
  std::vector<char> value;
  for (request r; receive_all(fd, &r, sizeof(r));) {
    switch (r.what) {
      case request::kind::next:
        r.value = static_cast<std::uint64_t>(next_of(static_cast<int>(r.value)));
        break;
      case request::kind::compute:
        r.value = compute(r.value);
        break;
      case request::kind::echo:
        value.resize(r.value);
        if (!receive_all(fd, value.data(), value.size())) ::_exit(0);
        send_all(fd, value.data(), value.size());
        continue;
    }
    send_all(fd, &r, sizeof(r));
  }
  ::_exit(0);
}

class by_hand_contender final : public contender {
 public:
  explicit by_hand_contender(int workers) {
    for (int i = 0; i < workers; ++i) {
      int ends[2];
      expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
      const pid_t pid = ::fork();
      expect(pid >= 0);
      if (pid == 0) {
        ::close(ends[0]);
        for (const child& other : children_) ::close(other.fd);
        serve(ends[1]);
      }
      ::close(ends[1]);
      children_.push_back({pid, ends[0]});
    }
    in_flight(5000);
  }
  ~by_hand_contender() override {
    for (const child& c : children_) ::close(c.fd);
    for (const child& c : children_) ::waitpid(c.pid, nullptr, 0);
  }
  std::string name() const override { return "fork and socketpair"; }

  double round_trips(int n, std::vector<double>& each) override {
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      const stopwatch one;
      const int fd = children_[static_cast<std::size_t>(i) % children_.size()].fd;
      put(fd, {request::kind::next, static_cast<std::uint64_t>(i)});
      expect(take(fd) == static_cast<std::uint64_t>(i) + 1);
      each.push_back(one.seconds());
    }
    return all.seconds();
  }
  double in_flight(int n) override { return pipelined(request::kind::next, 7, n); }
  double tasks_of(double seconds, int n) override {
    return pipelined(request::kind::compute, rounds_for(seconds), n);
  }
  double payloads(std::size_t bytes, int n) override {
    // A socket takes only so much before somebody reads: larger values would need a thread.
    if (bytes > std::size_t{64} << 10U) return not_done;
    std::vector<char> value(bytes, 'x'), back(bytes);
    const int fd = children_[0].fd;
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      put(fd, {request::kind::echo, bytes});
      send_all(fd, value.data(), bytes);
      expect(receive_all(fd, back.data(), bytes));
    }
    return all.seconds();
  }

 private:
  struct child {
    pid_t pid;
    int fd;
  };
  static void put(int fd, const request& r) { send_all(fd, &r, sizeof(r)); }
  static std::uint64_t take(int fd) {
    request r;
    expect(receive_all(fd, &r, sizeof(r)));
    return r.value;
  }
  // Round robin, so many for each child that no socket ever fills.
  double pipelined(request::kind what, std::uint64_t value, int n) {
    const std::size_t width =
        std::min<std::size_t>(static_cast<std::size_t>(n), 64 * children_.size());
    const stopwatch all;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n) + width; ++i) {
      if (i >= width) take(children_[(i - width) % children_.size()].fd);
      if (i < static_cast<std::size_t>(n)) put(children_[i % children_.size()].fd, {what, value});
    }
    return all.seconds();
  }
  std::vector<child> children_;
};

// No contender, but the limit: nothing moves bytes faster than this.
struct memcpy_contender final : contender {
  std::string name() const override { return "memcpy"; }
  double payloads(std::size_t bytes, int n) override {
    const std::vector<char> from(bytes, 'x');
    std::vector<char> to(bytes);
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      std::memcpy(to.data(), from.data(), bytes);
      asm volatile("" : : "r"(to.data()) : "memory");  // it is read
    }
    return all.seconds();
  }
};

}  // namespace

std::vector<entry> by_hand_contenders() {
  return {{"fork and socketpair",
           [](int workers) { return std::make_unique<by_hand_contender>(workers); }},
          {"memcpy", [](int) { return std::make_unique<memcpy_contender>(); }}};
}

}  // namespace bench
