// Every work and every contender that can do it, side by side.
//
//   bench [--rounds N] [--seconds S] [--json FILE] [WORK ...]
//
// S is about how long one sample takes. Figures are printed by tools/bench_page.py.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "works.hpp"

namespace bench {
namespace {

settings parse(int argc, char** argv) {
  settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("--") && i + 1 == argc) {
      std::fprintf(stderr, "%s wants a value\n", argv[i]);
      std::exit(2);
    }
    if (word == "--rounds") {
      s.rounds = std::max(1, std::atoi(argv[++i]));
    } else if (word == "--seconds") {
      s.seconds = std::atof(argv[++i]);
    } else if (word == "--json") {
      s.json = argv[++i];
    } else {
      s.only.insert(word);
    }
  }
  return s;
}

void run(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--memory") {
    tell_memory(argv[2], argv[3]);
    return;
  }
  // A session of our own: its processes are what we count. Pools that fork need one thread.
  ::setsid();
  const int cpus = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  runner r(parse(argc, argv));
  measure_lifetimes(r);
  measure_memory(r, cpus);
  measure_idle(r, cpus);
  compare_tasks(r, cpus);
  compare_loops(r, cpus);
  compare_payloads(r, cpus);
  compare_primitives(r);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { bench::run(argc, argv); }
