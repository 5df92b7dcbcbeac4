// A contender made from a kit. A kit has a crew (see crews.hpp) and makes handles for its parties.
// It has as many of these functions as its library supports:
//
//   lock()              lock(), unlock()
//   semaphore(n)        acquire(), release()
//   condition()         a lock with a condition: lock(), unlock(), wait(), notify()
//   event()             set(), wait(), clear()
//   barrier(parties)    wait()
//   queue(bytes)        put(item), get(item): std::vector<char> of `bytes` bytes
//   number_queue()      the same for items of 8 bytes, if the kit has a special form
//   takes(pairs, bytes) whether its queue supports this number of processes and size of items
//   counter(clients)    add(client, n): a number in another process
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "primitives/bodies.hpp"
#include "primitives/crews.hpp"

namespace bench {

template <class K>
concept has_lock = requires(K& k) { k.lock(); };
template <class K>
concept has_semaphore = requires(K& k) { k.semaphore(1); };
template <class K>
concept has_condition = requires(K& k) { k.condition(); };
template <class K>
concept has_event = requires(K& k) { k.event(); };
template <class K>
concept has_barrier = requires(K& k) { k.barrier(1); };
template <class K>
concept has_queue = requires(K& k) { k.queue(std::size_t{1}); };
template <class K>
concept has_number_queue = requires(K& k) { k.number_queue(); };
template <class K>
concept has_counter = requires(K& k) { k.counter(1); };

template <class Semaphore>
struct semaphore_as_lock {
  Semaphore s;
  void lock() const { s.acquire(); }
  void unlock() const { s.release(); }
};

template <class Semaphore>
struct two_semaphores {
  std::array<Semaphore, 2> of;
  void wake(stage&, int whom) const { of[static_cast<std::size_t>(whom)].release(); }
  void await(stage&, int who) const { of[static_cast<std::size_t>(who)].acquire(); }
};

template <class Event>
struct two_events {
  std::array<Event, 2> of;
  void wake(stage&, int whom) const { of[static_cast<std::size_t>(whom)].set(); }
  void await(stage&, int who) const {
    of[static_cast<std::size_t>(who)].wait();
    of[static_cast<std::size_t>(who)].clear();
  }
};

template <class Condition>
struct one_condition {
  Condition of;
  void wake(stage& s, int whom) const {
    of.lock();
    s.turn = whom + 1;
    of.notify();
    of.unlock();
  }
  void await(stage& s, int who) const {
    of.lock();
    while (s.turn != who + 1) of.wait();
    of.unlock();
  }
};

template <class Kit>
class primitives_of final : public primitives {
 public:
  double alone(held what, int n) override {
    [[maybe_unused]] const plan p{.parties = 1, .n = n};
    if constexpr (has_lock<Kit>) {
      if (what == held::mutex) return counted(take_alone_with(kit_.lock(), p), p);
    }
    if constexpr (has_semaphore<Kit>) {
      if (what == held::semaphore) {
        return counted(
            take_alone_with(semaphore_as_lock<decltype(kit_.semaphore(1))>{kit_.semaphore(1)}, p),
            p);
      }
    }
    return not_done;
  }

  double contend(int parties, int n, std::vector<double>* waits) override {
    if constexpr (has_lock<Kit>) {
      plan p{.parties = parties, .n = n, .rounds = rounds_for(1e-7)};
      if (waits != nullptr) p.stride = stride_for(n / parties);
      const auto lock = kit_.lock();
      const stage& s = kit_.crew.template run<&contend_for<std::decay_t<decltype(lock)>>>(lock, p);
      note_shares(s, p);
      if (waits != nullptr) append_samples(s, p, *waits);
      return counted(s, p);
    }
    return not_done;
  }
  double least_share() const override { return least_; }

  double hand_over(int n) override {
    if constexpr (has_lock<Kit>) {
      const plan p{.parties = 2, .n = n};
      const std::array locks{kit_.lock(), kit_.lock(), kit_.lock()};
      using lock = std::decay_t<decltype(locks[0])>;
      return counted(kit_.crew.template run<&hand_over_locks<lock>>(locks, p), p);
    }
    return not_done;
  }

  double wake_each_other(signal_by by, int n, std::vector<double>& each) override {
    if constexpr (has_semaphore<Kit>) {
      using signals = two_semaphores<decltype(kit_.semaphore(0))>;
      if (by == signal_by::semaphores) {
        return wake(signals{{kit_.semaphore(0), kit_.semaphore(0)}}, n, each);
      }
    }
    if constexpr (has_condition<Kit>) {
      using signals = one_condition<decltype(kit_.condition())>;
      if (by == signal_by::condition) return wake(signals{kit_.condition()}, n, each);
    }
    if constexpr (has_event<Kit>) {
      using signals = two_events<decltype(kit_.event())>;
      if (by == signal_by::events) return wake(signals{{kit_.event(), kit_.event()}}, n, each);
    }
    return not_done;
  }

  double pass(int pairs, std::size_t bytes, int n) override {
    [[maybe_unused]] const plan p{.parties = 2 * pairs, .n = n, .bytes = bytes};
    if constexpr (has_number_queue<Kit>) {
      if (bytes == sizeof(std::uint64_t)) return pass_through(kit_.number_queue(), p);
    }
    if constexpr (requires { Kit::takes(pairs, bytes); }) {
      if (!Kit::takes(pairs, bytes)) return not_done;
    }
    if constexpr (has_queue<Kit>) return pass_through(kit_.queue(bytes), p);
    return not_done;
  }
  double there_and_back(std::size_t bytes, int n, std::vector<double>& each) override {
    [[maybe_unused]] const plan p{.parties = 2, .n = n, .stride = stride_for(n), .bytes = bytes};
    if constexpr (has_number_queue<Kit>) {
      if (bytes == sizeof(std::uint64_t)) {
        return send_through(std::array{kit_.number_queue(), kit_.number_queue()}, p, each);
      }
    }
    if constexpr (has_queue<Kit>) {
      return send_through(std::array{kit_.queue(bytes), kit_.queue(bytes)}, p, each);
    }
    return not_done;
  }

  double meet(int parties, int n) override {
    if constexpr (has_barrier<Kit>) {
      const plan p{.parties = parties, .n = n};
      const auto barrier = kit_.barrier(parties);
      return took(kit_.crew.template run<&meet_at<std::decay_t<decltype(barrier)>>>(barrier, p), p);
    }
    return not_done;
  }

  double call(int clients, int n, std::vector<double>& each) override {
    if constexpr (has_counter<Kit>) {
      const plan p{.parties = clients, .n = n, .stride = stride_for(n / clients)};
      const auto counter = kit_.counter(clients);
      const stage& s =
          kit_.crew.template run<&call_counter<std::decay_t<decltype(counter)>>>(counter, p);
      std::uint64_t last = 0;
      for (const part& of : s.parts) last = std::max(last, of.check);
      expect(last == static_cast<std::uint64_t>(n));
      append_samples(s, p, each);
      return took(s, p);
    }
    return not_done;
  }

 private:
  static int stride_for(int n) { return n / static_cast<int>(most_samples) + 1; }

  static double took(const stage& s, const plan& p) {
    double begin = s.parts[0].begin, end = s.parts[0].end;
    for (int i = 1; i < p.parties; ++i) {
      begin = std::min(begin, s.parts[i].begin);
      end = std::max(end, s.parts[i].end);
    }
    return end - begin;
  }
  static double counted(const stage& s, const plan& p) {
    expect(s.counter == static_cast<std::uint64_t>(p.n));
    return took(s, p);
  }
  static void append_samples(const stage& s, const plan& p, std::vector<double>& each) {
    for (int i = 0; i < p.parties; ++i) {
      each.insert(each.end(), s.each[i], s.each[i] + s.parts[i].samples);
    }
  }
  void note_shares(const stage& s, const plan& p) {
    std::uint64_t sum = 0, least = s.parts[0].count;
    for (int i = 0; i < p.parties; ++i) {
      sum += s.parts[i].count;
      least = std::min<std::uint64_t>(least, s.parts[i].count);
    }
    expect(sum == static_cast<std::uint64_t>(p.n));
    least_ = static_cast<double>(least) * p.parties / p.n;
  }

  template <class Lock>
  const stage& take_alone_with(const Lock& lock, const plan& p) {
    return kit_.crew.template run<&take_alone<Lock>>(lock, p);
  }
  template <class Signals>
  double wake(const Signals& signals, int n, std::vector<double>& each) {
    const plan p{.parties = 2, .n = n, .stride = stride_for(n)};
    const stage& s = kit_.crew.template run<&wake_in_turns<Signals>>(signals, p);
    append_samples(s, p, each);
    return took(s, p);
  }
  template <class Queue>
  double pass_through(const Queue& q, const plan& p) {
    const stage& s = kit_.crew.template run<&pass_items<Queue>>(q, p);
    std::uint64_t sent = 0, received = 0;
    for (int i = 0; i < p.parties; ++i) (i < p.parties / 2 ? sent : received) += s.parts[i].check;
    expect(sent == received);
    return took(s, p);
  }
  template <class Queue>
  double send_through(const std::array<Queue, 2>& queues, const plan& p,
                      std::vector<double>& each) {
    const stage& s = kit_.crew.template run<&send_there_and_back<Queue>>(queues, p);
    append_samples(s, p, each);
    return took(s, p);
  }

  Kit kit_;
  double least_ = not_done;
};

template <class Kit>
entry primitives_entry(const char* name) {
  return {.name = name, .make = [](int) { return std::make_unique<primitives_of<Kit>>(); }};
}

}  // namespace bench
