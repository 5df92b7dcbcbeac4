// The kinds of parties: forked processes, which share earlier mappings, or threads. (procpool
// has a crew of its own: see ours.cpp.) run<body>(handle, plan) lets each of them run
// body(handle, stage, plan, party), all at the same time, and returns the stage when all are done.
// Throws std::runtime_error if one has failed.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "primitives/stage.hpp"

namespace bench {

void* map_shared(std::size_t bytes);
void unmap_shared(void* at, std::size_t bytes);

// Shared with children that are forked later.
template <class T, class... Args>
std::shared_ptr<T> make_shared_memory(Args&&... args) {
  return {new (map_shared(sizeof(T))) T(std::forward<Args>(args)...), [](T* t) {
            t->~T();
            unmap_shared(t, sizeof(T));
          }};
}

// party(0) .. party(n - 1), each in a process.
void fork_parties(int n, const std::function<void(int)>& party);

class forked_crew {
 public:
  template <auto Body, class Handle>
  const stage& run(const Handle& h, const plan& p) {
    stage_ = make_shared_memory<stage>();
    fork_parties(p.parties, [&](int party) { Body(h, *stage_, p, party); });
    return *stage_;
  }

 private:
  std::shared_ptr<stage> stage_;
};

// The threads run in a process of their own, whose CPU time counts when it has ended.
class thread_crew {
 public:
  template <auto Body, class Handle>
  const stage& run(const Handle& h, const plan& p) {
    stage_ = make_shared_memory<stage>();
    fork_parties(1, [&](int) {
      std::vector<std::jthread> all;
      for (int i = 0; i < p.parties; ++i) all.emplace_back([&, i] { Body(h, *stage_, p, i); });
    });
    return *stage_;
  }

 private:
  std::shared_ptr<stage> stage_;
};

}  // namespace bench
