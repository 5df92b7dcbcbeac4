// Runs works: in each round the contenders take turns, so that a machine that is slower for a while
// is slower for all.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "contender.hpp"
#include "results.hpp"

namespace bench {

struct settings {
  int rounds = 5;
  double seconds = 0.1;  // about how long one sample takes
  std::string json = "results.json";
  std::set<std::string> only = {};  // empty: all works
};

// What a sample says, from how long n of it took.
enum class says { time_of_one, count_per_second, bytes_per_second, efficiency };

struct work {
  std::string id = {}, title = {}, parameter = {}, unit = {};
  double x = 0;
  int workers = 2;
  says what = says::time_of_one;
  double scale = 1;  // bytes of one; for efficiency: seconds of one, on one CPU
  int most = 50'000'000;
  int multiple = 1;  // so many at once, or some workers would have nothing to do
  // So many if that takes no more than some seconds.
  int whole = 0;
  // n of it, by a contender; the time of each if there is any.
  std::function<double(contender&, int n, std::vector<double>& each)> run = {};
};

class runner {
 public:
  explicit runner(settings s);

  bool wanted(const std::string& id) const;
  const std::vector<entry>& entries() const { return entries_; }

  void compare(const work& w) { compare(w, entries_); }
  void compare(const work& w, const std::vector<entry>& entries);

  // What is no matter of tasks: a figure for each contender that has one (it is negative for the
  // others), sampled in turns, in each round as often as `times` says.
  struct candidate {
    std::string name = {};
    std::function<double()> sample = {};
  };
  void sample(row head, const std::vector<candidate>& candidates, int times = 1);

  int rounds() const { return settings_.rounds; }
  // Writes what there is so far.
  void save() const;

 private:
  void announce(const std::string& work, const std::string& parameter) const;
  std::shared_ptr<contender> contender_of(const entry& e, int workers);
  void keep(row r);
  settings settings_;
  std::vector<entry> entries_;
  // Contenders that stay, by name, as long as the number of workers remains.
  struct staying {
    int workers = 0;
    std::shared_ptr<contender> who = {};
  };
  std::map<std::string, staying> staying_;
  std::vector<row> rows_;
};

std::string workers_text(int n);

}  // namespace bench
