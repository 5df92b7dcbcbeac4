// Load for a server that answers lines: opens CONNECTIONS to 127.0.0.1:PORT, all at once, and only
// then sends ROUNDS requests on each, one at a time, and checks every answer.
//
//   line_load PORT CONNECTIONS ROUNDS
//
// Prints "connected N" when all are open, and at the end "right N wrong N dropped N". Ends with 0
// if all answers were right and no connection was dropped; gives up after 15 seconds in which
// nothing comes.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace {

constexpr std::size_t connecting_at_once = 200;  // what no backlog refuses
constexpr int patience_ms = 15'000;
constexpr long different_requests = 50;

long steps_from(long first) {
  long steps = 0;
  for (long n = first; n < first + 500; ++n) {
    for (long x = n; x > 1; ++steps) x = x % 2 == 0 ? x / 2 : 3 * x + 1;
  }
  return steps;
}

struct connection {
  int fd = -1;
  int rounds = 0;
  long number = 0;
  std::string received;
};

class load {
 public:
  load(int port, std::size_t connections, int rounds)
      : port_(port), rounds_(rounds), all_(connections), loop_(epoll_create1(EPOLL_CLOEXEC)) {}

  int run() {
    for (std::size_t i = 0; i < std::min(connecting_at_once, all_.size()); ++i) connect_next();
    std::vector<epoll_event> events(512);
    while (finished_ < all_.size()) {
      const int n = epoll_wait(loop_, events.data(), static_cast<int>(events.size()), patience_ms);
      if (n <= 0) break;
      for (int i = 0; i < n; ++i) handle(events[static_cast<std::size_t>(i)]);
    }
    const std::size_t silent = all_.size() - finished_;
    std::printf("right %zu wrong %zu dropped %zu\n", right_, wrong_, dropped_ + silent);
    return right_ == all_.size() * static_cast<std::size_t>(rounds_) && wrong_ == 0 ? 0 : 1;
  }

 private:
  void connect_next() {
    const std::size_t i = begun_++;
    connection& c = all_[i];
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0) {
      std::perror("line_load: socket");
      std::exit(2);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static_cast<void>(connect(c.fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    epoll_event wanted{};
    wanted.events = EPOLLOUT;
    wanted.data.u64 = i;
    epoll_ctl(loop_, EPOLL_CTL_ADD, c.fd, &wanted);
  }

  void handle(const epoll_event& event) {
    connection& c = all_[event.data.u64];
    if (c.fd < 0) return;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) {
      finish(c, dropped_);
    } else if ((event.events & EPOLLOUT) != 0) {
      epoll_event wanted{};
      wanted.events = EPOLLIN;
      wanted.data.u64 = event.data.u64;
      epoll_ctl(loop_, EPOLL_CTL_MOD, c.fd, &wanted);
      ++connected_;
      if (begun_ < all_.size()) connect_next();
      if (connected_ == all_.size()) begin();
    } else {
      receive(c);
    }
  }

  void begin() {
    std::printf("connected %zu\n", connected_);
    std::fflush(stdout);
    for (connection& c : all_) request(c);
  }

  void request(connection& c) {
    c.number = 1 + 1000 * (next_++ % different_requests);
    const std::string line = std::to_string(c.number) + "\n";
    if (send(c.fd, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
      finish(c, dropped_);
    }
  }

  void receive(connection& c) {
    char bytes[256];
    const ssize_t n = recv(c.fd, bytes, sizeof bytes, 0);
    if (n <= 0) return finish(c, dropped_);
    c.received.append(bytes, static_cast<std::size_t>(n));
    if (c.received.back() != '\n') return;
    ++(c.received == answer_to(c.number) ? right_ : wrong_);
    c.received.clear();
    // Finished ones stay open until the end: the server holds them all.
    if (++c.rounds < rounds_) return request(c);
    ++finished_;
  }

  const std::string& answer_to(long number) {
    std::string& answer = answers_[number];
    if (answer.empty()) {
      answer = std::to_string(number) + " " + std::to_string(steps_from(number)) + "\n";
    }
    return answer;
  }

  void finish(connection& c, std::size_t& why) {
    close(c.fd);
    c.fd = -1;
    ++why;
    ++finished_;
  }

  int port_, rounds_;
  std::vector<connection> all_;
  int loop_;
  std::map<long, std::string> answers_;
  std::size_t begun_ = 0, connected_ = 0, finished_ = 0;
  std::size_t right_ = 0, wrong_ = 0, dropped_ = 0;
  long next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return load(std::atoi(argv[1]), std::strtoul(argv[2], nullptr, 10), std::atoi(argv[3])).run();
}
