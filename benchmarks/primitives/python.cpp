// CPython's multiprocessing, in an interpreter of its own that runs peers/primitives.py: it starts
// the parties, and reports their time.
#include <unistd.h>

#include <string>

#include "conversation.hpp"
#include "primitives/primitives.hpp"

namespace bench {
namespace {

constexpr const char* interpreter = "/usr/bin/python3";
constexpr double patience = 30;

class python_primitives_of final : public primitives {
 public:
  explicit python_primitives_of(const std::string& kind)
      : python_({interpreter, BENCH_PYTHON_PRIMITIVES, kind}) {}

  double alone(held what, int n) override {
    return ask(what == held::mutex ? "alone_lock" : "alone_semaphore", 1, n, 0);
  }
  double contend(int parties, int n, std::vector<double>* waits) override {
    std::vector<double> numbers;
    const double took = ask("contend", parties, n, waits == nullptr ? 0 : 1, &numbers);
    if (numbers.empty()) return took;
    least_ = numbers.front();
    if (waits != nullptr) waits->insert(waits->end(), numbers.begin() + 1, numbers.end());
    return took;
  }
  double least_share() const override { return least_; }
  double hand_over(int n) override { return ask("hand_over", 2, n, 0); }
  double wake_each_other(signal_by by, int n, std::vector<double>& each) override {
    const char* const works[] = {"wake_by_semaphores", "wake_by_condition", "wake_by_events"};
    return ask(works[static_cast<int>(by)], 2, n, 0, &each);
  }
  double pass(int pairs, std::size_t bytes, int n) override {
    return ask("pass_items", 2 * pairs, n, bytes);
  }
  double there_and_back(std::size_t bytes, int n, std::vector<double>& each) override {
    return ask("there_and_back", 2, n, bytes, &each);
  }
  double meet(int parties, int n) override { return ask("meet", parties, n, 0); }
  double call(int clients, int n, std::vector<double>& each) override {
    return ask("call", clients, n, 0, &each);
  }

 private:
  double ask(const std::string& work, int parties, int n, std::size_t size,
             std::vector<double>* more = nullptr) {
    return python_.ask(
        work + " " + std::to_string(parties) + " " + std::to_string(n) + " " + std::to_string(size),
        patience, more);
  }
  conversation python_;
  double least_ = not_done;
};

}  // namespace

std::vector<entry> python_primitives() {
  if (::access(interpreter, X_OK) != 0) return {};
  const auto peer = [](const char* name, const char* kind) {
    return entry{.name = name,
                 .make = [kind](int) { return std::make_unique<python_primitives_of>(kind); },
                 .stays = true};
  };
  return {peer("CPython multiprocessing", "queue"), peer("CPython SimpleQueue", "simple_queue")};
}

}  // namespace bench
