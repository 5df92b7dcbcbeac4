// One process with a life of its own: it works beside the program, tells how far it is through
// memory that both share, is asked to stop by a signal, and is killed when it does not listen. What
// would take the program down with it in a thread (a crash in a plug-in) is an exit code here.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;
using namespace std::chrono_literals;

struct report {
  std::atomic<long> steps;
  std::atomic<bool> ready;
};

volatile std::sig_atomic_t stop = 0;

// Runs until it is told to end, and ends in order then.
void simulate(const pp::shared_value<report>& r) {
  std::signal(SIGTERM, [](int) { stop = 1; });
  r->ready = true;
  while (stop == 0) ++r->steps;
  std::exit(7);
}

void load_plugin(int number) {
  if (number == 2) std::abort();  // a bad one
}

int main() {
  const pp::shared_value<report> r;
  pp::process simulation({.name = "simulation"}, simulate, r);
  while (!r->ready || r->steps < 1000) {
    if (simulation.join_for(1ms)) return 1;  // it ended too early
  }
  simulation.terminate();
  simulation.join();
  std::printf("'%s' made %ld steps and left with %d\n", simulation.name().c_str(), r->steps.load(),
              *simulation.exit_code());

  std::vector<pp::process> plugins;
  for (int i = 0; i < 4; ++i) plugins.emplace_back(load_plugin, i);
  int bad = 0;
  for (const pp::process& p : plugins) {
    p.join();
    if (p.exit_code() == 0) continue;
    std::printf("the plug-in of process %d ended it: %d\n", p.pid(), *p.exit_code());
    ++bad;
  }
  return simulation.exit_code() == 7 && bad == 1 ? 0 : 1;
}
