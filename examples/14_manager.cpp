// Shared state that does not fit into shared memory: a manager owns an inventory, and workers that
// take orders reserve from it. Each reservation is one call, so that no two of them can take the
// last piece. A proxy within an object leads to another one: the log of what was refused.

#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

using refusals = std::vector<std::string>;

class inventory {
 public:
  explicit inventory(pp::proxy<refusals> log) : log_(std::move(log)) {}

  void store(const std::string& what, int pieces) { pieces_[what] += pieces; }
  int left(const std::string& what) const { return pieces_.at(what); }

  bool reserve(const std::string& what, int wanted) {
    int& have = pieces_.at(what);  // an unknown part is std::out_of_range for the caller
    if (have < wanted) {
      log_.call([](refusals& r, const std::string& line) { r.push_back(line); },
                what + " x " + std::to_string(wanted));
      return false;
    }
    have -= wanted;
    return true;
  }

 private:
  std::map<std::string, int> pieces_;
  pp::proxy<refusals> log_;
};

bool order(const pp::proxy<inventory>& stock, const std::string& what, int wanted) {
  return stock.call(&inventory::reserve, what, wanted);
}

int main() {
  pp::manager manager;
  const auto log = manager.make<refusals>();
  const auto stock = manager.make<inventory>(log);
  stock.call(&inventory::store, "bolt", 100);
  stock.call(&inventory::store, "nut", 50);

  pp::process_pool_executor pool(4);
  const std::vector<std::string> items{"bolt", "nut", "bolt", "nut", "bolt", "nut", "bolt", "nut"};
  const std::vector<int> pieces{30, 30, 30, 30, 30, 30, 30, 30};
  int accepted = 0;
  for (const bool ok : pool.map(pp::partial(order, stock), items, pieces)) accepted += ok ? 1 : 0;

  bool unknown = false;
  try {
    pool.submit(order, stock, "washer", 1).get();
  } catch (const std::out_of_range&) {
    unknown = true;
  }
  const auto refused = log.call([](const refusals& r) { return r.size(); });
  const int bolts = stock.call(&inventory::left, "bolt"),
            nuts = stock.call(&inventory::left, "nut");
  std::printf("%d orders accepted, %zu refused; %d bolts and %d nuts are left\n", accepted, refused,
              bolts, nuts);
  return accepted == 4 && refused == 4 && bolts == 10 && nuts == 20 && unknown ? 0 : 1;
}
