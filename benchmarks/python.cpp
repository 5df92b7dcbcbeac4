// Python's pools, in an interpreter of their own that peers.py runs: it measures itself and says
// how long a work took.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "contender.hpp"
#include "pooled.hpp"

namespace bench {
namespace {

constexpr const char* interpreter = "/usr/bin/python3";

class python_contender final : public contender {
 public:
  python_contender(std::string name, const char* kind, int workers) : name_(std::move(name)) {
    int ends[2];
    expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    pid_ = ::fork();
    expect(pid_ >= 0);
    if (pid_ == 0) {
      ::dup2(ends[1], STDIN_FILENO);
      ::dup2(ends[1], STDOUT_FILENO);
      const std::string count = std::to_string(workers);
      ::execl(interpreter, interpreter, BENCH_PEERS, kind, count.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    socket_ = ends[0];
    answers_ = ::fdopen(::fcntl(ends[0], F_DUPFD_CLOEXEC, 3), "r");
    available_ = ask("hello 0 0") >= 0;
  }
  ~python_contender() override {
    ::close(socket_);
    std::fclose(answers_);
    ::waitpid(pid_, nullptr, 0);
  }
  bool available() const { return available_; }
  std::string name() const override { return name_; }

  double round_trips(int n, std::vector<double>& each) override {
    return ask("round_trips " + std::to_string(n) + " 0", &each);
  }
  double in_flight(int n) override { return ask("in_flight " + std::to_string(n) + " 0"); }
  double small_items(int n) override { return ask("small_items " + std::to_string(n) + " 0"); }
  double as_completed(int n) override { return ask("as_completed " + std::to_string(n) + " 0"); }
  double payloads(std::size_t bytes, int n) override {
    return ask("payloads " + std::to_string(n) + " " + std::to_string(bytes));
  }

 private:
  // The answer: seconds, then the time of each if there is any.
  double ask(const std::string& question, std::vector<double>* each = nullptr) {
    const std::string line_out = question + "\n";
    if (::send(socket_, line_out.data(), line_out.size(), MSG_NOSIGNAL) < 0) return not_done;
    char* line = nullptr;
    std::size_t room = 0;
    const ssize_t size = ::getline(&line, &room, answers_);
    double took = not_done;
    if (size > 0) {
      std::istringstream in(line);
      in >> took;
      for (double one = 0; each != nullptr && in >> one;) each->push_back(one);
    }
    std::free(line);
    return took;
  }
  std::string name_;
  pid_t pid_ = 0;
  int socket_ = -1;
  std::FILE* answers_ = nullptr;
  bool available_ = false;
};

bool works(const char* kind) {
  python_contender probe("", kind, 1);
  return probe.available();
}

}  // namespace

std::vector<entry> python_contenders() {
  struct peer {
    const char* name;
    const char* kind;
  };
  const peer peers[] = {{"CPython ProcessPoolExecutor", "executor"},
                        {"CPython multiprocessing.Pool", "pool"},
                        {"joblib", "joblib"}};
  std::vector<entry> all;
  if (::access(interpreter, X_OK) != 0) return all;
  for (const peer& p : peers) {
    if (!works(p.kind)) continue;
    all.push_back({p.name, [p](int workers) {
                     return std::make_unique<python_contender>(p.name, p.kind, workers);
                   }});
  }
  return all;
}

}  // namespace bench
