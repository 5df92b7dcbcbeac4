#include "conversation.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include "work.hpp"

namespace bench {
namespace {

void pair_of(int (&ends)[2]) {
  expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

bool ends_within(pid_t pid, double seconds) {
  const stopwatch all;
  while (all.seconds() < seconds) {
    if (::waitpid(pid, nullptr, WNOHANG) != 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

}  // namespace

conversation::conversation(const std::vector<std::string>& command) {
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  int in[2], out[2];
  pair_of(in);
  pair_of(out);
  pid_ = ::fork();
  expect(pid_ >= 0);
  if (pid_ == 0) {
    ::setpgid(0, 0);  // so that all of it can be ended
    ::dup2(in[1], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  ::close(in[1]);
  ::close(out[1]);
  to_ = in[0];
  from_ = out[0];
}

conversation::~conversation() {
  finish_sending();
  if (pid_ > 0 && !ends_within(pid_, 5)) give_up();
  if (from_ >= 0) ::close(from_);
}

bool conversation::send(const std::string& lines) {
  std::size_t sent = 0;
  while (to_ >= 0 && sent < lines.size()) {
    const ssize_t n = ::send(to_, lines.data() + sent, lines.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return to_ >= 0;
}

void conversation::finish_sending() {
  if (to_ >= 0) ::close(to_);
  to_ = -1;
}

std::optional<std::string> conversation::line(double patience) {
  const stopwatch all;
  for (;;) {
    if (const auto end = heard_.find('\n'); end != std::string::npos) {
      std::string found = heard_.substr(0, end);
      heard_.erase(0, end + 1);
      return found;
    }
    const double left = patience - all.seconds();
    pollfd answer{from_, POLLIN, 0};
    if (pid_ < 0 || left <= 0 || ::poll(&answer, 1, static_cast<int>(left * 1000) + 1) <= 0) break;
    char bytes[65536];
    const ssize_t n = ::read(from_, bytes, sizeof(bytes));
    if (n <= 0) break;
    heard_.append(bytes, static_cast<std::size_t>(n));
  }
  give_up();
  return std::nullopt;
}

double conversation::ask(const std::string& question, double patience, std::vector<double>* more) {
  double figure = -1;
  if (!send(question + "\n")) return figure;
  const std::optional<std::string> answer = line(patience);
  if (!answer) return figure;
  std::istringstream in(*answer);
  in >> figure;
  for (double one = 0; more != nullptr && in >> one;) more->push_back(one);
  return figure;
}

// First in the way in which a program that starts others can end them, too.
void conversation::give_up() {
  finish_sending();
  if (pid_ < 0) return;
  ::kill(-pid_, SIGTERM);
  if (!ends_within(pid_, 2)) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
}

}  // namespace bench
