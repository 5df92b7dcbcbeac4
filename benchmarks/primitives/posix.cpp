// The system's own objects, in forked processes: pthread_mutex_t and similar types between
// processes, sem_t, message queues, pipes and sockets as queues; and a number served by a socket.
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "primitives/kit.hpp"

namespace bench {
namespace {

// --- pthread

struct mutex_memory {
  pthread_mutex_t m;
  explicit mutex_memory(bool robust) {
    pthread_mutexattr_t how;
    ::pthread_mutexattr_init(&how);
    ::pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    if (robust) ::pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
    expect(::pthread_mutex_init(&m, &how) == 0);
  }
  ~mutex_memory() { ::pthread_mutex_destroy(&m); }
};

template <bool Robust>
struct pthread_lock {
  std::shared_ptr<mutex_memory> memory = make_shared_memory<mutex_memory>(Robust);
  void lock() const {
    const int result = ::pthread_mutex_lock(&memory->m);
    if constexpr (Robust) {
      if (result == EOWNERDEAD) ::pthread_mutex_consistent(&memory->m);
    } else {
      expect(result == 0);
    }
  }
  void unlock() const { expect(::pthread_mutex_unlock(&memory->m) == 0); }
};

struct condition_memory {
  pthread_cond_t c;
  condition_memory() {
    pthread_condattr_t how;
    ::pthread_condattr_init(&how);
    ::pthread_condattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
    expect(::pthread_cond_init(&c, &how) == 0);
  }
  ~condition_memory() { ::pthread_cond_destroy(&c); }
};

template <bool Robust>
struct pthread_condition : pthread_lock<Robust> {
  std::shared_ptr<condition_memory> changed = make_shared_memory<condition_memory>();
  void notify() const { ::pthread_cond_signal(&changed->c); }
  void wait() const { expect(::pthread_cond_wait(&changed->c, &this->memory->m) == 0); }
};

struct posix_semaphore {
  struct memory {
    sem_t s;
    explicit memory(unsigned n) { expect(::sem_init(&s, 1, n) == 0); }
    ~memory() { ::sem_destroy(&s); }
  };
  std::shared_ptr<memory> at;
  void acquire() const {
    while (::sem_wait(&at->s) != 0) expect(errno == EINTR);
  }
  void release() const { expect(::sem_post(&at->s) == 0); }
};

struct pthread_meeting {
  struct memory {
    pthread_barrier_t b;
    explicit memory(unsigned parties) {
      pthread_barrierattr_t how;
      ::pthread_barrierattr_init(&how);
      ::pthread_barrierattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
      expect(::pthread_barrier_init(&b, &how, parties) == 0);
    }
    ~memory() { ::pthread_barrier_destroy(&b); }
  };
  std::shared_ptr<memory> at;
  void wait() const { ::pthread_barrier_wait(&at->b); }
};

struct pthread_kit {
  forked_crew crew;
  pthread_lock<false> lock() { return {}; }
  posix_semaphore semaphore(int n) {
    return {make_shared_memory<posix_semaphore::memory>(static_cast<unsigned>(n))};
  }
  pthread_condition<false> condition() { return {}; }
  pthread_meeting barrier(int parties) {
    return {make_shared_memory<pthread_meeting::memory>(static_cast<unsigned>(parties))};
  }
};

struct robust_kit {
  forked_crew crew;
  pthread_lock<true> lock() { return {}; }
  pthread_condition<true> condition() { return {}; }
};

// --- queues

struct mq_queue {
  struct open_queue {
    mqd_t q;
    ~open_queue() { ::mq_close(q); }
  };
  std::shared_ptr<open_queue> items;

  // 64 items or, if the system allows fewer, the usual 10. The children inherit it.
  explicit mq_queue(std::size_t bytes) {
    const std::string name = "/procpool-bench-" + std::to_string(::getpid());
    for (const long length : {64L, 10L}) {
      mq_attr size{};
      size.mq_maxmsg = length;
      size.mq_msgsize = static_cast<long>(bytes);
      const mqd_t q = ::mq_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &size);
      if (q == static_cast<mqd_t>(-1)) continue;
      ::mq_unlink(name.c_str());
      items = std::make_shared<open_queue>(q);
      return;
    }
    throw std::runtime_error("the system allows no queue of such items");
  }
  void put(const std::vector<char>& item) const {
    expect(::mq_send(items->q, item.data(), item.size(), 0) == 0);
  }
  void get(std::vector<char>& item) const {
    expect(::mq_receive(items->q, item.data(), item.size(), nullptr) ==
           static_cast<ssize_t>(item.size()));
  }
};

// Two descriptors: bytes written to one are read from the other.
struct descriptors {
  int in = -1, out = -1;
  descriptors() = default;
  descriptors(const descriptors&) = delete;
  descriptors& operator=(const descriptors&) = delete;
  ~descriptors() {
    ::close(in);
    ::close(out);
  }
};

void write_all(int fd, const void* from, std::size_t n) {
  for (const auto* at = static_cast<const char*>(from); n != 0;) {
    const ssize_t done = ::write(fd, at, n);
    expect(done > 0);
    at += done;
    n -= static_cast<std::size_t>(done);
  }
}
bool read_all(int fd, void* to, std::size_t n) {
  for (auto* at = static_cast<char*>(to); n != 0;) {
    const ssize_t done = ::read(fd, at, n);
    if (done <= 0) return false;
    at += done;
    n -= static_cast<std::size_t>(done);
  }
  return true;
}

struct pipe_queue {
  std::shared_ptr<descriptors> ends = std::make_shared<descriptors>();
  pipe_queue() {
    int both[2];
    expect(::pipe2(both, O_CLOEXEC) == 0);
    ends->out = both[0];
    ends->in = both[1];
  }
  void put(const std::vector<char>& item) const { write_all(ends->in, item.data(), item.size()); }
  void get(std::vector<char>& item) const { expect(read_all(ends->out, item.data(), item.size())); }
};

// Whole messages, whatever their size.
struct socket_queue {
  std::shared_ptr<descriptors> ends = std::make_shared<descriptors>();
  socket_queue() {
    int both[2];
    expect(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, both) == 0);
    ends->out = both[0];
    ends->in = both[1];
  }
  void put(const std::vector<char>& item) const {
    expect(::write(ends->in, item.data(), item.size()) == static_cast<ssize_t>(item.size()));
  }
  void get(std::vector<char>& item) const {
    expect(::read(ends->out, item.data(), item.size()) == static_cast<ssize_t>(item.size()));
  }
};

struct mq_kit {
  forked_crew crew;
  mq_queue queue(std::size_t bytes) { return mq_queue(bytes); }
};

struct pipe_kit {
  forked_crew crew;
  pipe_queue queue(std::size_t /*bytes*/) { return {}; }
  // Longer messages would be mixed with messages of another process.
  static bool takes(int pairs, std::size_t bytes) { return pairs == 1 || bytes <= PIPE_BUF; }
};

// --- a number in another process, with a thread for each client

struct socket_counter {
  struct server {
    std::vector<int> clients;
    pid_t pid = -1;
    ~server() {
      for (const int fd : clients) ::close(fd);
      if (pid > 0) ::waitpid(pid, nullptr, 0);
    }
  };
  std::shared_ptr<server> at = std::make_shared<server>();

  explicit socket_counter(int clients) {
    std::vector<int> far;
    for (int i = 0; i < clients; ++i) {
      int both[2];
      expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) == 0);
      at->clients.push_back(both[0]);
      far.push_back(both[1]);
    }
    at->pid = ::fork();
    expect(at->pid >= 0);
    if (at->pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (const int fd : at->clients) ::close(fd);
      serve(far);
    }
    for (const int fd : far) ::close(fd);
  }
  std::uint64_t add(int client, std::uint64_t n) const {
    const int fd = at->clients[static_cast<std::size_t>(client)];
    write_all(fd, &n, sizeof(n));
    expect(read_all(fd, &n, sizeof(n)));
    return n;
  }

 private:
  [[noreturn]] static void serve(const std::vector<int>& clients) {
    std::mutex mutex;
    std::uint64_t number = 0;
    std::vector<std::thread> all;
    for (const int fd : clients) {
      all.emplace_back([&, fd] {
        for (std::uint64_t n = 0; read_all(fd, &n, sizeof(n));) {
          {
            const std::lock_guard lock(mutex);
            n = number += n;
          }
          write_all(fd, &n, sizeof(n));
        }
      });
    }
    for (std::thread& t : all) t.join();
    ::_exit(0);
  }
};

struct socket_kit {
  forked_crew crew;
  socket_queue queue(std::size_t /*bytes*/) { return {}; }
  socket_counter counter(int clients) { return socket_counter(clients); }
};

}  // namespace

std::vector<entry> posix_primitives() {
  return {primitives_entry<pthread_kit>("pthread"), primitives_entry<robust_kit>("pthread, robust"),
          primitives_entry<mq_kit>("POSIX mq"), primitives_entry<pipe_kit>("pipe"),
          primitives_entry<socket_kit>("socketpair")};
}

}  // namespace bench
