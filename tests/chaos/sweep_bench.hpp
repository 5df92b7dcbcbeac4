// One pool with a victim and a peer, for killing the victim anywhere: the tasks of one scenario,
// and the verdict on what the sweep makes of the state that the victim has reached.
//
// The verdict is found in a copy: a child of this process has copies of the parent's private
// tables, and maps the region anew as private pages. There it runs the real sweep, lets the real
// worker's loop do what is left, and asks every future. The victim, in the original, has noticed
// nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pool/pool.hpp"
#include "procpool/detail/task/completion_set.hpp"
#include "procpool/procpool.hpp"

namespace procpool::testing {

// Written one by one, so that a long result grows several times; or with room that is not written
// to, which takes no time, and an exception from the encoder.
struct numbers : std::deque<std::uint64_t> {
  using std::deque<std::uint64_t>::deque;
  static constexpr std::uint32_t least_overflow = 1U << 20U;
  std::uint32_t overflow = 0;
};
// Of bench_task and of the encoder.
extern const std::string complaint;

}  // namespace procpool::testing

template <>
struct procpool::detail::wire<procpool::testing::numbers> : wire_composite<> {
  using whole = std::deque<std::uint64_t>;
  static void put(wire_writer& writer, const procpool::testing::numbers& v) {
    if (v.overflow == 0) {
      wire<whole>::put(writer, v);
      return;
    }
    writer.extend(v.overflow);
    writer.extend(v.overflow);
    throw std::runtime_error(procpool::testing::complaint);
  }
  static procpool::testing::numbers take(wire_reader& reader) {
    procpool::testing::numbers v;
    static_cast<whole&>(v) = wire<whole>::take(reader);
    return v;
  }
};

namespace procpool::testing {

// What a task of a bench does: `size` times its id, or an exception.
numbers bench_task(std::uint32_t id, std::uint32_t size, bool fail, const numbers& padding);

class pool_test_access {
 public:
  explicit pool_test_access(parent::pool& p) : pool_(p) {}
  const shm::region& region() const { return pool_.region_; }
  // As the supervisor does it for that seat, but starts no worker.
  void sweep(std::uint32_t seat);
  // These look without the pool's mutex: the bench calls them while nothing starts or dies, or in a
  // loop until the answer changes.
  bool ready(std::uint32_t seat) const NO_THREAD_SAFETY_ANALYSIS;
  pid_t pid(std::uint32_t seat) const NO_THREAD_SAFETY_ANALYSIS;
  void give_partition(std::uint64_t p, std::uint32_t seat) NO_THREAD_SAFETY_ANALYSIS;
  parent::task_record* record(std::uint32_t slot) const;
  // Records that are neither free nor without a slot.
  std::size_t records_in_use() const;

 private:
  parent::pool& pool_;
};

class sweep_bench {
 public:
  static constexpr std::uint32_t victim = 0, peer = 1;

  explicit sweep_bench(int workers = 2, bool with_gate = false);
  ~sweep_bench();

  // Before the scenario: both workers asleep without a role, the peer stopped for good.
  void wait_until_quiet();
  void wait_until_victim_sleeps();
  void freeze_peer();
  pid_t victim_pid() const { return access_.pid(victim); }
  // A new victim, that begins its life with this in the region's header.
  struct life {
    std::uint32_t cpus = 1;    // with one, no worker spins
    bool short_tasks = false;  // its clock makes all tasks look short
    std::uint32_t tasks = 0;   // after so many it ends
  };
  void replace_victim(const life& l);
  void wait_for_successor(pid_t old);
  // Kills the victim; the new one waits in its initializer until it is let in.
  void stop_a_new_victim();
  void let_it_in();

  parent::task_record& submit(std::uint32_t size, bool fail = false, int retries = 0,
                              std::uint32_t padding = 0, std::optional<duration> limit = {});
  // Its outcome takes `bytes`, and then twice as much, before the encoder throws.
  void submit_overflowing(std::uint32_t bytes);
  enum class failing { none, last, all };  // all: the function cannot be decoded
  void submit_map(std::uint32_t items, std::uint32_t size, failing f, int retries = 0,
                  std::optional<duration> limit = {});
  void notify(parent::task_record& r);  // a thread waits for it among others
  void arm_doorbell();
  // Of the task, or the map, that was submitted last.
  shm::slot& last_slot();
  // Instead of a value there may be an error that says this.
  void allow_error(const std::string& what) {
    for (plain_task& t : tasks_) t.either = true;
    for (plain_task& t : tasks_) t.error = what;
    if (chunk_) chunk_->error = what;
  }
  // What the error of the task submitted last says.
  void expect_error(const std::string& what) { tasks_.back().error = what; }
  // Takes the outcome in the parent, and gives its block back.
  void take_first();
  void take_first_error();

  // The peer, as far as the victim can see.
  void peer_is_awake();
  void set_roles(std::optional<std::uint32_t> spinning, std::optional<std::uint32_t> watchdog) {
    region().control().roles.store((spinning ? *spinning + 1 : 0U) | (watchdog ? *watchdog + 1 : 0U)
                                                                         << 16U);
  }
  void peer_is_hot() { region().control().roles.store(peer + 1); }
  void cancel_first() { tasks_.front().result.cancel(); }
  void cancel_last() { tasks_.back().result.cancel(); }
  // KILL into the word of what the victim runs, if it runs something; the kill itself never comes.
  void decide_to_kill();
  // The same by the time limit of the task.
  void limit_is_over();

  const shm::region& region() const { return access_.region(); }
  // All tasks of the victim are over.
  bool all_resolved() const;
  bool first_resolved() const;
  // Whether anything that a sweep can see has changed since the last call.
  bool changed();
  // Of a death in this moment; empty if it is as it should be.
  std::string verdict();
  // The same for a real death, with the pool's own sweep and workers that continue: what must
  // become of each task, asked before it, and the verdict afterwards.
  enum class fate { value, crash, cancelled, timeout };
  std::vector<fate> fates() const;
  // A thread that sleeps on the word of each task, and one that waits for all that notify() named.
  // They are asleep, or done, on return; settle_for_real() says if one is not woken.
  void start_sleepers();
  std::string settle_for_real(const std::vector<fate>& plain);

 private:
  struct plain_task {
    std::uint32_t id, size;
    std::string error;  // of its outcome, or empty
    bool either;        // a value is as good
    int retries;
    future<numbers> result;
  };
  struct chunk {
    std::uint32_t first_id, count, size;
    failing fails;
    std::string error;  // that its items may have instead of a value
    int retries;
    parent::task_record* record;  // of the whole chunk
    map_results<numbers> results;
  };

  struct sleeper {
    explicit sleeper(std::function<void(sleeper&)> body);
    std::atomic<pid_t> tid{0};
    std::atomic<bool> over{false};
    std::size_t got = 0;
    std::thread thread;  // the last one: it uses the others
  };
  std::string end_sleepers();
  static fate fate_of(const parent::task_record& r);
  std::string judge();
  std::string check_dead_marks() const;
  void drain_as_peer();
  std::string check(plain_task& t, fate f);
  std::string check(chunk& c, const std::vector<fate>& f);
  static std::string check_result(std::uint32_t id, std::uint32_t size, const std::string& error,
                                  bool either, fate f, unsigned most_starts,
                                  const std::function<numbers()>& get);
  static std::vector<fate> fates_of(const chunk& c);
  std::string check_notices();

  std::unique_ptr<detail::owned_pool> ref_;
  pool_test_access access_;
  std::deque<plain_task> tasks_;
  std::optional<chunk> chunk_;
  detail::completion_set notices_;
  std::size_t noticed_ = 0;  // tags are below it
  std::deque<sleeper> sleepers_;
  std::size_t expected_notices_ = 0;
  std::uint32_t next_id_ = 0;
  pid_t frozen_ = 0;
  std::vector<std::byte> seen_;
};

}  // namespace procpool::testing
