// Contenders that run a program for each task: xargs -P and GNU parallel, each with the smallest
// program that does the work. Neither can be kept warm, so the first tasks are not counted.
#include "conversation.hpp"
#include "pooled.hpp"

namespace bench {
namespace {

// Shorter tasks would only measure how long it takes to start a program.
constexpr double shortest_task = 0.9e-3;
constexpr double patience = 30;

class program_contender final : public contender {
 public:
  explicit program_contender(std::vector<std::string> command, int workers)
      : command_(std::move(command)), workers_(workers) {}

  double tasks_of(double seconds, int n) override {
    if (seconds < shortest_task) return not_done;
    return run(rounds_for(seconds), n);
  }
  // From when each worker has done a task, to the end of n further ones.
  double run(std::uint64_t rounds, int n) const {
    const std::string right = std::to_string(compute(rounds));
    conversation program(command_);
    std::string lines;
    for (int i = 0; i < n + workers_; ++i) lines += std::to_string(rounds) + "\n";
    if (!program.send(lines)) return not_done;
    program.finish_sending();
    stopwatch all;
    for (int i = 0; i < n + workers_; ++i) {
      const std::optional<std::string> result = program.line(patience);
      if (!result || *result != right) return not_done;
      if (i + 1 == workers_) all = stopwatch();
    }
    return all.seconds();
  }

 private:
  std::vector<std::string> command_;
  int workers_;
};

}  // namespace

std::vector<entry> program_contenders() {
  const auto xargs = [](int workers) {
    return std::vector<std::string>{"xargs", "-P", std::to_string(workers), "-n", "1", BENCH_TASK};
  };
  const auto parallel = [](int workers) {  // ungrouped: the quickest it can
    return std::vector<std::string>{"parallel", "--will-cite",           "-u",
                                    "-j",       std::to_string(workers), BENCH_TASK};
  };
  std::vector<entry> all;
  const auto add = [&](const char* name, auto command) {
    if (program_contender(command(1), 1).run(1, 1) < 0) return;  // not here, or another program
    all.push_back({.name = name, .make = [command](int workers) {
                     return std::make_unique<program_contender>(command(workers), workers);
                   }});
  };
  add("xargs -P", xargs);
  add("GNU parallel", parallel);
  return all;
}

}  // namespace bench
