#include "chaos/sweep_bench.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "os/futex.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "shm/process_page.hpp"
#include "support/pool_test.hpp"
#include "worker/growth.hpp"
#include "worker/loop.hpp"

namespace procpool::testing {

const std::string complaint(200, 'x');

namespace {

using namespace std::chrono_literals;
using shm::task_phase;
using shm::u32;
using shm::u64;

constexpr u32 most_ids = 4096;
constexpr std::size_t verdict_bytes = 512;

// Shared with the workers, which are forked from this process; private in the copies.
struct notebook {
  std::atomic<std::uint8_t> starts[most_ids];
  std::atomic<bool> gate_is_closed;
  std::atomic<pid_t> at_the_gate;
};
template <class T>
T& shared_object() {
  static void* const p =
      mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return *static_cast<T*>(p);
}
notebook& book() { return shared_object<notebook>(); }
// How a copy answers.
char* answer() { return shared_object<char[verdict_bytes]>(); }

std::string named(const char* what, u32 id) { return what + (" " + std::to_string(id)) + ": "; }

// Every mapping of the region and of the process page, as private pages at the same place. Mappings
// that were not inherited are made anew, so this needs no list of them in the child.
struct shared_range {
  u64 begin, size, offset;
  int fd;
};
std::vector<shared_range> shared_ranges(int region_fd) {
  std::vector<shared_range> out;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const bool of_region = line.find("/memfd:procpool-region") != std::string::npos;
    if (!of_region && line.find("/memfd:procpool") == std::string::npos) continue;
    std::istringstream text(line);
    u64 begin = 0, end = 0, offset = 0;
    char dash = 0;
    std::string mode;
    text >> std::hex >> begin >> dash >> end >> mode >> offset;
    out.push_back({begin, end - begin, offset, of_region ? region_fd : shm::parent_page_fd()});
  }
  return out;
}
bool make_private(const std::vector<shared_range>& ranges) {
  notebook copy;
  std::memcpy(static_cast<void*>(&copy), static_cast<const void*>(&book()), sizeof copy);
  if (mmap(&book(), sizeof copy, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS,
           -1, 0) == MAP_FAILED) {
    return false;
  }
  std::memcpy(static_cast<void*>(&book()), static_cast<const void*>(&copy), sizeof copy);
  for (const shared_range& r : ranges) {
    if (mmap(reinterpret_cast<void*>(r.begin), r.size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, r.fd,
             static_cast<off_t>(r.offset)) == MAP_FAILED) {
      return false;
    }
  }
  return true;
}

// The initializer.
void pass_the_gate() {
  while (book().gate_is_closed.load()) {
    book().at_the_gate.store(getpid());
    usleep(1000);
  }
}

struct unreadable {
  std::uint32_t reader;  // 0: none
};

}  // namespace
}  // namespace procpool::testing

template <>
struct procpool::codec<procpool::testing::unreadable> {
  static std::uint32_t to_wire(const procpool::testing::unreadable& v) { return v.reader; }
  static procpool::testing::unreadable from_wire(std::uint32_t reader) {
    if (reader == 0) throw std::runtime_error(procpool::testing::complaint);
    return {reader};
  }
};

namespace procpool::testing {
numbers bench_task(std::uint32_t id, std::uint32_t size, bool fail, const numbers& padding) {
  if (!padding.empty() && padding.back() != id) return {};
  book().starts[id].fetch_add(1);
  if (fail) throw std::runtime_error(complaint);
  if (size >= numbers::least_overflow) {
    numbers none;
    none.overflow = size;
    return none;
  }
  return numbers(size, id);
}

void pool_test_access::sweep(u32 seat) {
  const base::lock_guard lock(pool_.mutex_);
  pool_.sweep(seat, {pool_.crew_.id_of(seat), pid(seat), CLD_KILLED, SIGKILL, 0});
}
bool pool_test_access::ready(u32 seat) const {
  return pool_.crew_.stats_of(seat, false).state == worker_state::idle;
}
pid_t pool_test_access::pid(u32 seat) const { return pool_.crew_.stats_of(seat, false).pid; }
parent::task_record* pool_test_access::record(u32 slot) const { return pool_.record_at(slot); }
void pool_test_access::give_partition(u64 p, u32 seat) {
  pool_.partitions_.uses_[p].seat.store(seat);
}
std::size_t pool_test_access::records_in_use() const {
  const base::lock_guard lock(pool_.mutex_);
  return pool_.slots_.records_in_use();
}

sweep_bench::sweep_bench(int workers, bool with_gate)
    : ref_((book(), answer(),
            std::make_unique<detail::owned_pool>(pool_options{
                .max_workers = workers,
                .start = start_method::fork,

                .initializer = with_gate ? invocation(&pass_the_gate) : invocation()}))),
      access_(*ref_->use().pool) {
  for (std::atomic<std::uint8_t>& s : book().starts) s.store(0);
  // All of the arena that there may be, so that copies find it here and make it their own.
  for (u64 p = 0; p <= 4U * region().workers(); ++p) {
    ref_->use().pool->address(region().partition(p), 1);
  }
}

sweep_bench::~sweep_bench() {
  let_it_in();
  end_sleepers();
  if (frozen_ != 0) ::kill(frozen_, SIGCONT);
}

void sweep_bench::wait_until_quiet() {
  const shm::control_block& c = region().control();
  const u64 all = (u64{1} << region().workers()) - 1;
  const bool quiet = eventually([&] {
    return access_.ready(victim) && (region().workers() == 1 || access_.ready(peer)) &&
           c.asleep[0].load() == all && c.roles.load() == 0;
  });
  if (!quiet) throw std::runtime_error("the workers do not come to rest");
}

void sweep_bench::wait_until_victim_sleeps() {
  const shm::control_block& c = region().control();
  if (!eventually([&] { return (c.asleep[0].load() >> victim & 1U) != 0; })) {
    throw std::runtime_error("the victim does not fall asleep");
  }
}

void sweep_bench::freeze_peer() {
  frozen_ = access_.pid(peer);
  ::kill(frozen_, SIGSTOP);
}

void sweep_bench::replace_victim(const life& l) {
  wait_until_quiet();
  shm::region_header& h = region().header();
  h.cpus = l.cpus;
  h.tasks_per_worker = l.tasks;
  if (l.short_tasks) h.cycles_per_us = u64{1} << 40U;
  const pid_t old = victim_pid();
  ::kill(old, SIGKILL);
  wait_for_successor(old);
}

void sweep_bench::wait_for_successor(pid_t old) {
  if (!eventually([&] { return victim_pid() != old && victim_pid() != 0; })) {
    throw std::runtime_error("no new victim");
  }
}

void sweep_bench::stop_a_new_victim() {
  wait_until_quiet();
  book().gate_is_closed.store(true);
  const pid_t old = victim_pid();
  ::kill(old, SIGKILL);
  wait_for_successor(old);
  if (!eventually([&] { return book().at_the_gate.load() == victim_pid(); })) {
    throw std::runtime_error("the new victim has no initializer");
  }
}

void sweep_bench::let_it_in() { book().gate_is_closed.store(false); }

void sweep_bench::peer_is_awake() { shm::roster(region()).clear_asleep(peer); }

void sweep_bench::decide_to_kill() {
  for (const plain_task& t : tasks_) {
    auto& r = static_cast<parent::task_record&>(*t.result.native_state());
    u64 word = 0;
    if (r.load(word) && shm::phase_of(word) == task_phase::claimed) {
      r.slot.load()->word.compare_exchange_strong(word, shm::with_phase(word, task_phase::kill));
    }
  }
}

void sweep_bench::limit_is_over() {
  for (const plain_task& t : tasks_) {
    auto& r = static_cast<parent::task_record&>(*t.result.native_state());
    u64 word = 0;
    if (!r.load(word) || shm::phase_of(word) != task_phase::claimed) continue;
    r.overrun = r.generation;
    if (!r.slot.load()->word.compare_exchange_strong(word,
                                                     shm::with_phase(word, task_phase::kill))) {
      r.overrun = parent::no_generation;
    }
  }
}

parent::task_record& sweep_bench::submit(u32 size, bool fail, int retries, u32 padding,
                                         std::optional<duration> limit) {
  const u32 id = next_id_++;
  using types = detail::thunks<decltype(&bench_task), u32, u32, bool, numbers>;
  const auto code = detail::to_code_ref(reinterpret_cast<const void*>(&types::run_task));
  detail::submission task(ref_->use());
  types::call::pack(task, &bench_task, id, size, fail, numbers(padding, id));
  const task_options options{.time_limit = limit, .retries = retries};
  detail::state_ptr state = task.commit(code, &options, 0, true);
  auto& record = static_cast<parent::task_record&>(*state);
  tasks_.push_back(
      {id, size, fail ? complaint : "", false, retries, future<numbers>(std::move(state))});
  return record;
}

void sweep_bench::submit_overflowing(u32 bytes) {
  submit(bytes);
  tasks_.back().error = complaint;
}

void sweep_bench::submit_map(u32 items, u32 size, failing f, int retries,
                             std::optional<duration> limit) {
  numbers ids(items);
  std::iota(ids.begin(), ids.end(), next_id_);
  const u32 first = next_id_, last = first + items - 1;
  next_id_ += items;
  auto results = detail::make_map<detail::byte_tasks>(
      ref_->use(), {.chunksize = items, .task = {.time_limit = limit, .retries = retries}},
      partial([](unreadable, u32 s, u64 bad,
                 u64 id) { return bench_task(static_cast<u32>(id), s, id == bad, {}); },
              unreadable{f != failing::all ? 1U : 0U}, size,
              f == failing::last ? u64{last} : u64{most_ids}),
      std::move(ids));
  parent::task_record* record = nullptr;
  for (u32 i = 0; i < region().allocated_slots(); ++i) {
    const shm::slot& s = region().at(i);
    if ((s.traits & shm::is_chunk) != 0 && shm::phase_of(s.word.load()) == task_phase::ready) {
      record = access_.record(i);
    }
  }
  chunk_.emplace(chunk{first, items, size, f, {}, retries, record, std::move(results)});
}

void sweep_bench::notify(parent::task_record& r) { notices_.add(r, noticed_++); }

void sweep_bench::arm_doorbell() { shm::parent_page().doorbell_armed.store(1); }

void sweep_bench::take_first() {
  tasks_.front().result.get();
  tasks_.pop_front();
}

shm::slot& sweep_bench::last_slot() {
  if (chunk_) return *chunk_->record->slot.load();
  return *static_cast<parent::task_record&>(*tasks_.back().result.native_state()).slot.load();
}

void sweep_bench::take_first_error() {
  try {
    take_first();
  } catch (const std::runtime_error&) {
    tasks_.pop_front();
  }
}

bool sweep_bench::all_resolved() const {
  for (const plain_task& t : tasks_) {
    if (!t.result.done()) return false;
  }
  return !chunk_ || chunk_->record->resolved();
}

bool sweep_bench::first_resolved() const { return tasks_.front().result.done(); }

bool sweep_bench::changed() {
  const auto copy = [](std::vector<std::byte>& to, const void* from, std::size_t bytes) {
    const auto* b = static_cast<const std::byte*>(from);
    to.insert(to.end(), b, b + bytes);
  };
  std::vector<std::byte> now;
  now.reserve(seen_.size());
  copy(now, &region().control(), sizeof(shm::control_block));
  for (u32 w = 0; w < region().workers(); ++w) copy(now, &region().worker(w), 3 * 64);
  copy(now, &region().at(0), std::min(16U, region().allocated_slots()) * sizeof(shm::slot));
  copy(now, &shm::parent_page().doorbell, 8);
  if (now == seen_) return false;
  seen_ = std::move(now);
  return true;
}

std::string sweep_bench::verdict() {
  const std::vector<shared_range> ranges = shared_ranges(region().fd());
  // Without the handlers of fork(): this child is to keep what belongs to the pool.
  const pid_t child = _Fork();
  if (child == 0) {
    alarm(10);
    std::string text = "the copy cannot be made";
    if (make_private(ranges)) text = judge();
    std::strncpy(answer(), text.c_str(), verdict_bytes - 1);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "the copy died of signal " + std::to_string(WTERMSIG(status));
  return answer();
}

// As the threads of a parent sleep, but that nothing wakes those on a word after half a second.
sweep_bench::sleeper::sleeper(std::function<void(sleeper&)> body)
    : thread([this, run = std::move(body)] {
        tid.store(gettid());
        run(*this);
        over.store(true);
      }) {}

void sweep_bench::start_sleepers() {
  for (const plain_task& t : tasks_) {
    auto& r = static_cast<parent::task_record&>(*t.result.native_state());
    sleepers_.emplace_back([&r](sleeper& me) {
      u64 word = 0;
      while (r.set_flag(shm::waiter_flag) && r.load(word) && !shm::is_resolved(word)) {
        os::futex_wait(r.slot.load()->word, static_cast<u32>(word), 60s);
      }
      me.got = 1;
    });
  }
  expected_notices_ = notices_.outstanding();
  sleepers_.emplace_back([this](sleeper& me) {
    const time_point latest = std::chrono::steady_clock::now() + 30s;
    while (notices_.next(&latest)) ++me.got;
  });
  const auto sleeps = [](const sleeper& s) {
    if (s.over.load()) return true;
    std::ifstream stat("/proc/self/task/" + std::to_string(s.tid.load()) + "/stat");
    std::string number, name, state;
    stat >> number >> name >> state;
    return state == "S";
  };
  if (!eventually([&] { return std::all_of(sleepers_.begin(), sleepers_.end(), sleeps); })) {
    throw std::runtime_error("the threads that wait do not fall asleep");
  }
}

// Empty if all were woken.
std::string sweep_bench::end_sleepers() {
  const auto over = [](const sleeper& s) { return s.over.load(); };
  const bool woken =
      eventually([&] { return std::all_of(sleepers_.begin(), sleepers_.end(), over); });
  std::string wrong;
  if (!woken) {
    for (std::size_t i = 0; i < sleepers_.size() && wrong.empty(); ++i) {
      if (over(sleepers_[i])) continue;
      wrong = i < tasks_.size() ? named("task", tasks_[i].id) + "who slept on its word still does"
                                : "who waited for several tasks still does";
    }
    for (u32 i = 0; i < region().allocated_slots(); ++i) {
      os::futex_wake(region().at(i).word, std::numeric_limits<int>::max());
    }
  }
  for (sleeper& s : sleepers_) s.thread.join();
  if (wrong.empty() && !sleepers_.empty() && sleepers_.back().got != expected_notices_) {
    wrong = "who waited for several tasks got " + std::to_string(sleepers_.back().got);
  }
  sleepers_.clear();
  return wrong;
}

std::string sweep_bench::settle_for_real(const std::vector<fate>& plain) {
  if (frozen_ != 0) ::kill(std::exchange(frozen_, 0), SIGCONT);
  std::string wrong = end_sleepers();
  for (std::size_t i = 0; i < tasks_.size() && wrong.empty(); ++i) {
    if (tasks_[i].result.wait_for(30s) != std::future_status::ready)
      wrong = named("task", tasks_[i].id) + "lost";
    if (wrong.empty()) wrong = check(tasks_[i], plain[i]);
  }
  tasks_.clear();
  return wrong;
}

std::vector<sweep_bench::fate> sweep_bench::fates() const {
  std::vector<fate> out;
  for (const plain_task& t : tasks_) {
    out.push_back(fate_of(static_cast<const parent::task_record&>(*t.result.native_state())));
  }
  return out;
}

// What must become of a task if the victim dies now.
sweep_bench::fate sweep_bench::fate_of(const parent::task_record& r) {
  u64 word = 0;
  if (!r.load(word)) return fate::value;
  const task_phase phase = shm::phase_of(word);
  const bool again = r.extras && r.extras->retries > 0;
  if (phase == task_phase::kill && r.overrun == r.generation) {
    return again ? fate::value : fate::timeout;
  }
  if (phase == task_phase::kill || phase == task_phase::cancelled) return fate::cancelled;
  if (phase != task_phase::claimed || shm::worker_of(word) != victim) return fate::value;
  if (r.slot.load()->started.load() != shm::started_stamp(word)) return fate::value;
  return again ? fate::value : fate::crash;
}

std::vector<sweep_bench::fate> sweep_bench::fates_of(const chunk& c) {
  std::vector<fate> out(c.count, fate::value);
  const shm::slot& s = *c.record->slot.load();
  const u64 word = s.word.load();
  if (shm::phase_of(word) != task_phase::claimed || s.started.load() != shm::started_stamp(word)) {
    return out;
  }
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(s.bytes);
  const u32 finished = std::max(line.first, shm::progress_finished(line.progress.load()));
  const u32 begun = line.begun.load();
  const bool again = c.record->extras && c.record->extras->retries > 0;
  // Before the first item began, that one takes the blame for what is decoded.
  if (finished < c.count && (begun == finished + 1 || begun == 0) && !again) {
    out[finished] = fate::crash;
  }
  return out;
}

// In a copy.
std::string sweep_bench::judge() {
  const std::vector<fate> plain = fates();
  const std::vector<fate> items = chunk_ ? fates_of(*chunk_) : std::vector<fate>{};
  access_.sweep(victim);
  access_.sweep(victim);
  std::string wrong = check_dead_marks();
  if (wrong.empty() && region().workers() > 1) drain_as_peer();
  if (wrong.empty()) wrong = check_notices();
  for (std::size_t i = 0; i < tasks_.size() && wrong.empty(); ++i) {
    wrong = check(tasks_[i], plain[i]);
  }
  if (wrong.empty() && chunk_) wrong = check(*chunk_, items);
  if (!wrong.empty()) return wrong;
  tasks_.clear();
  chunk_.reset();
  const std::size_t stuck = access_.records_in_use();
  return stuck == 0 ? "" : std::to_string(stuck) + " slots stay in use";
}

// The dead has no role, no bit and no list, and if a task waits a worker is awake.
std::string sweep_bench::check_dead_marks() const {
  const shm::roster roster(region());
  const shm::control_block& c = region().control();
  if (roster.is_spinning(victim) || roster.is_watchdog(victim))
    return "the dead worker keeps a role";
  if ((c.asleep[0].load() >> victim & 1U) != 0) return "the dead worker counts as asleep";
  if (region().worker(victim).done_list.load() != 0) return "the dead worker's list is not emptied";
  roster.kick();
  const bool peer_sleeps = (c.asleep[0].load() >> peer & 1U) != 0;
  for (u32 i = 0; i < region().allocated_slots(); ++i) {
    if (shm::phase_of(region().at(i).word.load()) != task_phase::ready) continue;
    if (c.head.load() >= c.tail.load()) return "a task is ready and has no hint";
    if (peer_sleeps) return "a task is ready and everybody sleeps";
  }
  return "";
}

// What the peer would do: the worker's own loop, until nothing is left.
void sweep_bench::drain_as_peer() {
  region().control().stopping.store(1);
  constexpr u64 partition = 5;  // a partition without an owner
  access_.give_partition(partition, peer);
  shm::arena_view view(region().fd(), region().arena_offset());
  worker::result_blocks blocks(region(), view, partition);
  worker::invoker invoke(region(), peer, view, blocks);
  worker::loop(region(), shm::parent_page(), peer, invoke, blocks, ::getppid())
      .run(0, worker::growth_limit(0));
}

std::string sweep_bench::check_notices() {
  std::vector<int> told(noticed_);
  const time_point soon = std::chrono::steady_clock::now() + 20s;
  while (const auto tag = notices_.next(&soon)) ++told[*tag];
  for (std::size_t i = 0; i < told.size(); ++i) {
    if (told[i] != 1)
      return named("notice", static_cast<u32>(i)) + "came " + std::to_string(told[i]) + " times";
  }
  return "";
}

std::string sweep_bench::check_result(u32 id, u32 size, const std::string& error, bool either,
                                      fate f, unsigned most_starts,
                                      const std::function<numbers()>& get) {
  const unsigned starts = book().starts[id].load();
  const std::string who = named("task", id);
  if (starts > most_starts) return who + "started " + std::to_string(starts) + " times";
  try {
    const numbers v = get();
    if (f != fate::value || (!error.empty() && !either)) return who + "has a value and should not";
    if (v != numbers(size, id)) return who + "has a wrong value";
    if (starts == 0) return who + "has a value that nobody made";
  } catch (const worker_crashed&) {
    if (f != fate::crash) return who + "crashed, and had not begun or was done";
  } catch (const task_timeout&) {
    if (f != fate::timeout) return who + "is over its limit";
  } catch (const cancelled_error&) {
    if (f != fate::cancelled) return who + "is cancelled";
  } catch (const std::runtime_error& e) {
    if (f != fate::value || (error.empty() && !either) ||
        std::string_view(e.what()).find(error) == std::string_view::npos) {
      return who + e.what();
    }
  }
  return "";
}

std::string sweep_bench::check(plain_task& t, fate f) {
  if (!t.result.done()) return named("task", t.id) + "is not resolved";
  return check_result(t.id, t.size, t.error, t.either, f, 1U + static_cast<unsigned>(t.retries),
                      [&] { return t.result.get(); });
}

std::string sweep_bench::check(chunk& c, const std::vector<fate>& f) {
  if (!c.record->resolved()) return "the chunk is not resolved";
  u32 seen = 0;
  for (auto&& o : std::move(c.results).outcomes()) {
    const auto i = static_cast<u32>(o.index());
    const bool fail = c.fails == failing::all || (c.fails == failing::last && i + 1 == c.count);
    std::string wrong =
        check_result(c.first_id + i, c.size, fail ? complaint : c.error, !fail && !c.error.empty(),
                     f[i], 1U + static_cast<unsigned>(c.retries), [&] { return o.value(); });
    if (!wrong.empty()) return wrong;
    ++seen;
  }
  return seen == c.count ? "" : "items are missing";
}

}  // namespace procpool::testing
