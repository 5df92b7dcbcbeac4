#include "runner.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <stdexcept>
#include <thread>

#include "meter.hpp"
#include "work.hpp"

namespace bench {
namespace {

// No contender has more for one work; what it has measured by then counts.
constexpr double most_seconds = 4;
// Nothing takes so long but what hangs. Peers in other processes are given up much earlier.
constexpr unsigned hangs_after = 100;

char under_way[256] = "";

void give_up(int) {
  static const char text[] = ": it hangs. What was measured before it is written.\n";
  ssize_t written = ::write(STDERR_FILENO, under_way, std::strlen(under_way));
  written += ::write(STDERR_FILENO, text, sizeof(text) - 1);
  ::_exit(written > 0 ? 3 : 4);
}

void now(const std::string& what) {
  std::snprintf(under_way, sizeof(under_way), "%s", what.c_str());
  ::alarm(hangs_after);
}

double figure(const work& w, double of_one) {
  switch (w.what) {
    case says::time_of_one:
      return of_one;
    case says::count_per_second:
      return 1 / of_one;
    case says::bytes_per_second:
      return w.scale / of_one;
    case says::efficiency:
      return w.scale / of_one / w.workers;
  }
  return 0;
}

constexpr double longest_whole = 6;  // seconds

// So many that they take about the wanted time; 0: the contender does not do it. The first run of
// a size may find all workers asleep, so that the second one counts.
int calibrate(const work& w, contender& c, double wanted) {
  std::vector<double> each;
  const auto run = [&](int n) {
    each.clear();
    return w.run(c, n, each);
  };
  const auto round = [&](double n) {
    const int whole = static_cast<int>(std::min(n, static_cast<double>(w.most)));
    return std::max(whole / w.multiple, 1) * w.multiple;
  };
  for (double n = w.multiple;; n *= 4) {
    const int count = round(n);
    double took = run(count);
    if (took < 0) return 0;
    if (took < wanted) {
      const double again = run(count);
      if (again < 0) return 0;
      took = std::min(took, again);
    }
    if (count >= w.most || took >= wanted / 8) {
      if (w.whole != 0 && took / count * w.whole <= longest_whole) return w.whole;
      return count >= w.most && took < wanted ? count : round(count * wanted / took);
    }
  }
}

// On one CPU, undisturbed by other contenders, at the speed that the machine has now.
double serial_seconds(double seconds_of_one, double for_so_long) {
  const std::uint64_t rounds = rounds_for(seconds_of_one);
  const int n = std::max(1, static_cast<int>(for_so_long / seconds_of_one));
  std::uint64_t all = 0;
  const stopwatch took;
  for (int i = 0; i < n; ++i) {
    all ^= compute(rounds);
    asm volatile("" : "+r"(all));  // each is computed
  }
  return took.seconds() / n;
}

// Every task ran in a worker, each once: what the tasks say of themselves fits together.
bool all_ran_in_workers(const std::vector<ran>& all, int n, int workers) {
  if (all.empty()) return true;  // it cannot tell
  std::map<std::uint64_t, std::set<std::uint64_t>> counts;
  for (const ran& r : all) counts[r.who].insert(r.count);
  std::size_t found = 0;
  for (const auto& [who, seen] : counts) {
    if (who == static_cast<std::uint64_t>(::getpid())) return false;
    if (*seen.rbegin() - *seen.begin() + 1 != seen.size()) return false;  // one is missing
    found += seen.size();
  }
  return all.size() == static_cast<std::size_t>(n) && found == all.size() &&
         counts.size() <= static_cast<std::size_t>(workers);
}

struct turn {
  std::shared_ptr<contender> who;
  int n = 0;
  row r;
  std::vector<double> each = {}, cpu = {};
  stopwatch since = {};
  double spent = 0;
};

}  // namespace

runner::runner(settings s) : settings_(std::move(s)) {
  std::signal(SIGALRM, give_up);
  now("looking for contenders");
  for (auto make : {procpool_contenders, thread_contenders, openmp_contenders, by_hand_contenders,
                    limit_contenders, python_contenders, program_contenders}) {
    for (entry& e : make()) entries_.push_back(std::move(e));
  }
}

bool runner::wanted(const std::string& id) const {
  return settings_.only.empty() || settings_.only.contains(id);
}

void runner::compare(const work& w, const std::vector<entry>& entries) {
  if (!wanted(w.id)) return;
  announce(w.id, w.parameter);
  std::vector<turn> turns;
  for (const entry& e : entries) {
    if (!e.make) continue;
    now(w.id + ", " + w.parameter + ": " + e.name);
    const stopwatch all;
    try {
      std::shared_ptr<contender> who = contender_of(e, w.workers);
      // No contender warms up for what it cannot do.
      std::vector<double> each;
      if (w.run(*who, w.multiple, each) < 0) continue;
      who->warm_up();
      constexpr int proof = 100;
      if (!all_ran_in_workers(who->who_runs(proof), proof, w.workers)) {
        throw std::runtime_error("its tasks did not each run once in a worker");
      }
      const int n = calibrate(w, *who, settings_.seconds);
      if (n == 0) continue;
      row r{.work = w.id,
            .title = w.title,
            .parameter = w.parameter,
            .unit = w.unit,
            .contender = e.name,
            .x = w.x};
      turns.push_back({.who = std::move(who), .n = n, .r = std::move(r), .spent = all.seconds()});
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "  left out: %s: %s\n", e.name.c_str(), problem.what());
      staying_.erase(e.name);
    }
  }
  for (int round = 0; round < settings_.rounds; ++round) {
    for (turn& t : turns) {
      // One that is slow has its chance once more, and then stops.
      if (t.n == 0 || (round != 0 && t.spent > most_seconds)) continue;
      now(w.id + ", " + w.parameter + ": " + t.r.contender);
      // Workers that looked for work for a while before they sleep are asleep.
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      work this_round = w;
      if (w.what == says::efficiency) {
        this_round.scale = serial_seconds(w.scale, settings_.seconds / 4);
      }
      const double cpu = session_cpu();
      const double took = w.run(*t.who, t.n, t.each);
      t.spent += std::max(0.0, took);
      if (took < 0) {
        std::fprintf(stderr, "  gave up: %s\n", t.r.contender.c_str());
        t.n = 0;
        staying_.erase(t.r.contender);  // the next work finds a new one
        continue;
      }
      t.cpu.push_back((session_cpu() - cpu) / t.n);
      t.r.samples.push_back(figure(this_round, took / t.n));
    }
  }
  for (turn& t : turns) {
    if (t.r.samples.empty()) continue;
    t.r.median = median(t.r.samples);
    t.r.cpu = std::max(0.0, median(t.cpu));
    if (!t.each.empty()) {
      t.r.median = figure(w, median(t.each));
      t.r.p99 = figure(w, percentile(t.each, 99));
      for (const double p : {50.0, 90.0, 99.0, 99.9}) {
        t.r.percentiles.push_back(figure(w, percentile(t.each, p)));
      }
    }
    keep(std::move(t.r));
  }
  save();
}

void runner::sample(row head, const std::vector<candidate>& candidates, int times) {
  if (!wanted(head.work)) return;
  announce(head.work, head.parameter);
  struct turn_of {
    const candidate* who;
    std::vector<double> samples;
    double spent;
  };
  std::vector<turn_of> turns;
  for (const candidate& c : candidates) turns.push_back({&c, {}, 0});
  for (int round = 0; round < settings_.rounds; ++round) {
    for (turn_of& t : turns) {
      now(head.work + ", " + head.parameter + ": " + t.who->name);
      const stopwatch all;
      for (int i = 0; i < times && t.spent + all.seconds() < most_seconds; ++i) {
        double found = not_done;
        try {
          found = t.who->sample();
        } catch (const std::exception& problem) {
          std::fprintf(stderr, "  left out: %s: %s\n", t.who->name.c_str(), problem.what());
        }
        if (found < 0) break;
        t.samples.push_back(found);
      }
      t.spent += all.seconds();
    }
  }
  for (turn_of& t : turns) {
    if (t.samples.empty()) continue;
    row r = head;
    r.contender = t.who->name;
    r.samples = t.samples;
    r.median = median(t.samples);
    // Of fewer samples the last hundredth would be none.
    if (t.samples.size() >= 50) r.p99 = percentile(t.samples, 99);
    keep(std::move(r));
  }
  save();
}

void runner::save() const { write_json(settings_.json, rows_, settings_.rounds); }

void runner::announce(const std::string& work, const std::string& parameter) const {
  std::fprintf(stderr, "%s, %s\n", work.c_str(), parameter.c_str());
}

std::shared_ptr<contender> runner::contender_of(const entry& e, int workers) {
  if (!e.stays) return e.make(workers);
  staying& kept = staying_[e.name];
  if (kept.who == nullptr || kept.workers != workers) {
    kept.who = nullptr;  // first: two of them would be in each other's way
    kept.who = e.make(workers);
    kept.workers = workers;
  }
  return kept.who;
}

void runner::keep(row r) { rows_.push_back(std::move(r)); }

std::string workers_text(int n) { return std::to_string(n) + (n == 1 ? " worker" : " workers"); }

}  // namespace bench
