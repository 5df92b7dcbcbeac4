// Python's pools, in an interpreter of their own that runs peers/pools.py: it measures itself and
// says how long a work took.
#include <unistd.h>

#include <exception>
#include <stdexcept>

#include "conversation.hpp"
#include "pooled.hpp"

namespace bench {
namespace {

constexpr const char* python = "/usr/bin/python3";  // Debian's packages are for this Python
constexpr double patience = 30;

struct peer {
  const char* name;
  const char* kind;
};

std::vector<std::string> command_of(const peer& p, int workers) {
  std::vector<std::string> command;
  if (std::string(p.kind) == "mpi") {
    command = {"mpiexec",
               "--allow-run-as-root",
               "--oversubscribe",
               "-n",
               std::to_string(workers + 1),
               python,
               "-m",
               "mpi4py.futures"};
  } else {
    command = {python};
  }
  for (const std::string& word :
       {std::string(BENCH_PYTHON_PEERS), std::string(p.kind), std::to_string(workers)}) {
    command.push_back(word);
  }
  return command;
}

class python_contender final : public contender {
 public:
  python_contender(const peer& p, int workers) : python_(command_of(p, workers)) {}

  void warm_up() override {
    if (!warm_ && ask("warm_up") < 0) throw std::runtime_error("it does not answer");
    warm_ = true;
  }
  std::vector<ran> who_runs(int n) override {
    std::vector<double> numbers;
    ask("who_runs", n, 0, &numbers);
    std::vector<ran> all;
    for (std::size_t i = 0; i + 1 < numbers.size(); i += 2) {
      all.push_back(
          {static_cast<std::uint64_t>(numbers[i]), static_cast<std::uint64_t>(numbers[i + 1])});
    }
    return all;
  }
  double round_trips(int n, std::vector<double>& each) override {
    return ask("round_trips", n, 0, &each);
  }
  double in_flight(int n) override { return ask("in_flight", n); }
  // Shorter ones would only show once more what a task costs.
  double tasks_of(double seconds, int n) override {
    return seconds < 0.9e-4 ? not_done : ask("tasks_of", n, rounds_for(seconds));
  }
  double small_items(int n) override { return ask("small_items", n); }
  double as_completed(int n) override { return ask("as_completed", n); }
  double payloads(payload_way way, std::size_t bytes, int n, std::vector<double>& each) override {
    const char* const works[] = {"there_and_back", "argument", "result"};
    return ask(works[static_cast<int>(way)], n, bytes, &each);
  }
  double memory_of_each(kept what, int n) override {
    return ask(what == kept::pending ? "memory_pending" : "memory_unread", std::min(n, 20'000));
  }

  lifetime live(const std::string& method) {
    std::vector<double> stop;
    const double start = ask("live_" + method, 1, 0, &stop);
    return {start, stop.size() == 1 ? stop[0] : not_done};
  }
  double recover(const std::string& method) { return ask("recover_" + method); }

 private:
  double ask(const std::string& work, int n = 0, std::uint64_t size = 0,
             std::vector<double>* more = nullptr) {
    return python_.ask(work + " " + std::to_string(n) + " " + std::to_string(size), patience, more);
  }
  conversation python_;
  bool warm_ = false;
};

bool works(const peer& p) {
  try {
    python_contender(p, 1).warm_up();
  } catch (const std::exception&) {
    return false;
  }
  return true;
}

}  // namespace

std::vector<entry> python_contenders() {
  const peer peers[] = {{"CPython ProcessPoolExecutor", "executor"},
                        {"CPython multiprocessing.Pool", "pool"},
                        {"joblib/loky", "loky"},
                        {"mpi4py MPIPoolExecutor", "mpi"}};
  std::vector<entry> all;
  if (::access(python, X_OK) != 0) return all;
  ::setenv("BENCH_COMPUTE_LIBRARY", BENCH_COMPUTE_LIBRARY, 1);
  for (const peer& p : peers) {
    if (!works(p)) continue;
    entry e{.name = p.name,
            .make = [p](int workers) { return std::make_unique<python_contender>(p, workers); },
            // The processes of MPI look for messages a thousand times a second, all the time.
            .stays = std::string(p.kind) != "mpi"};
    if (std::string(p.kind) != "mpi") {
      // For pools that come and go, one interpreter is started once and then stays.
      const auto interpreter_of = [p,
                                   kept = std::make_shared<std::unique_ptr<python_contender>>()] {
        if (*kept == nullptr) *kept = std::make_unique<python_contender>(p, 1);
        return kept->get();
      };
      e.live = [=](const std::string& method) { return interpreter_of()->live(method); };
      e.recover = [=](const std::string& method) { return interpreter_of()->recover(method); };
    }
    all.push_back(std::move(e));
  }
  return all;
}

}  // namespace bench
