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
  enum class kind { next, compute, tell_who, give_back, sum, make } what = kind::next;
  std::uint64_t value = 0;  // or bytes: how many follow, or how many are wanted
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
  const auto receive_value = [&](std::size_t size) {
    value.resize(size);
    if (!receive_all(fd, value.data(), size)) ::_exit(0);
  };
  for (request r; receive_all(fd, &r, sizeof(r));) {
    switch (r.what) {
      case request::kind::next:
        r.value = static_cast<std::uint64_t>(next_of(static_cast<int>(r.value)));
        break;
      case request::kind::compute:
        r.value = compute(r.value);
        break;
      case request::kind::tell_who:
        r.value = tell_who().count;
        break;
      case request::kind::give_back:
        receive_value(r.value);
        send_all(fd, value.data(), value.size());
        continue;
      case request::kind::sum:
        receive_value(r.value);
        r.value = sum_of({value.data(), value.size()});
        break;
      case request::kind::make:
        send_all(fd, value_of(r.value).data(), r.value);
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
  }
  ~by_hand_contender() override {
    for (const child& c : children_) ::close(c.fd);
    for (const child& c : children_) ::waitpid(c.pid, nullptr, 0);
  }
  void warm_up() override { in_flight(5000); }
  std::vector<ran> who_runs(int n) override {
    std::vector<ran> all;
    for (int i = 0; i < n; ++i) {
      const child& c = children_[static_cast<std::size_t>(i) % children_.size()];
      put(c.fd, {request::kind::tell_who, 0});
      all.push_back({static_cast<std::uint64_t>(c.pid), take(c.fd)});
    }
    return all;
  }

  double round_trips(int n, std::vector<double>& each) override {
    each.reserve(each.size() + static_cast<std::size_t>(n));
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
  double in_flight(int n) override { return pipelined(request::kind::next, 7, 8, n); }
  double tasks_of(double seconds, int n) override {
    const std::uint64_t rounds = rounds_for(seconds);
    return pipelined(request::kind::compute, rounds, compute(rounds), n);
  }
  double payloads(payload_way way, std::size_t bytes, int n, std::vector<double>& each) override {
    const std::vector<char> value(bytes, 'x');
    std::vector<char> back(bytes);
    const std::uint64_t sum = sum_of({value.data(), bytes});
    const int fd = children_[0].fd;
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      const stopwatch one;
      switch (way) {
        case payload_way::there_and_back:
          put(fd, {request::kind::give_back, bytes});
          send_all(fd, value.data(), bytes);
          expect(receive_all(fd, back.data(), bytes));
          break;
        case payload_way::argument:
          put(fd, {request::kind::sum, bytes});
          send_all(fd, value.data(), bytes);
          expect(take(fd) == sum);
          break;
        case payload_way::result:
          put(fd, {request::kind::make, bytes});
          expect(receive_all(fd, back.data(), bytes));
          break;
      }
      each.push_back(one.seconds());
    }
    const double took = all.seconds();
    expect(way == payload_way::argument || back == value);
    return took;
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
  double pipelined(request::kind what, std::uint64_t value, std::uint64_t right, int n) {
    const auto count = static_cast<std::size_t>(n);
    const std::size_t width = std::min<std::size_t>(count, 64 * children_.size());
    const stopwatch all;
    for (std::size_t i = 0; i < count + width; ++i) {
      if (i >= width) expect(take(children_[(i - width) % children_.size()].fd) == right);
      if (i < count) put(children_[i % children_.size()].fd, {what, value});
    }
    return all.seconds();
  }
  std::vector<child> children_;
};

lifetime one_life(const std::string& method) {
  lifetime life;
  if (method != "fork") return life;
  std::vector<double> each;
  const stopwatch all;
  auto pool = std::make_unique<by_hand_contender>(2);
  pool->round_trips(1, each);
  life.start = all.seconds();
  const stopwatch end;
  pool.reset();
  life.stop = end.seconds();
  return life;
}

// No contender, but the limit: so long the kernel takes to end a copy of this process. No process
// knows earlier that the worker of the task is dead.
double one_end(const std::string& method) {
  if (method != "fork") return not_done;
  const pid_t pid = ::fork();
  expect(pid >= 0);
  while (pid == 0) ::pause();
  const stopwatch all;
  expect(::kill(pid, SIGKILL) == 0);
  expect(::waitpid(pid, nullptr, 0) == pid);
  return all.seconds();
}

// No contender, but the limit: nothing moves bytes faster than this, from a place that is in the
// caches as far as it fits, to another such place.
struct memcpy_contender final : contender {
  double payloads(payload_way, std::size_t bytes, int n, std::vector<double>& each) override {
    const std::vector<char> from(bytes, 'x');
    std::vector<char> to(bytes);
    std::memcpy(to.data(), from.data(), bytes);
    // A single copy of a few bytes takes less than looking at the clock.
    const int batch = bytes < 65536 ? 100 : 1;
    const stopwatch all;
    for (int i = 0; i < n; i += batch) {
      const stopwatch some;
      for (int k = 0; k < batch; ++k) {
        std::memcpy(to.data(), from.data(), bytes);
        asm volatile("" : : "r"(to.data()) : "memory");  // it is read
      }
      each.push_back(some.seconds() / batch);
    }
    return all.seconds();
  }
};

}  // namespace

std::vector<entry> by_hand_contenders() {
  return {{.name = "fork and socketpair",
           .make = [](int workers) { return std::make_unique<by_hand_contender>(workers); },
           .live = one_life},
          {.name = kill_and_waitpid, .recover = one_end},
          {.name = "memcpy", .make = [](int) { return std::make_unique<memcpy_contender>(); }}};
}

}  // namespace bench
