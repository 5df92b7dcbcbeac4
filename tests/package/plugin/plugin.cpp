// A plug-in that uses procpool, as an interpreter's module would. It is built twice. The tasks have
// the same types in both builds, so that the library's templates have one name in both.

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <procpool/procpool.hpp>
#include <stdexcept>
#include <string_view>

// As large as the plug-in wants it, under one name.
struct plugin_item {
  std::array<std::int64_t, PLUGIN_NUMBER> numbers;
};

struct plugin_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
PROCPOOL_EXCEPTION(plugin_error)

namespace {

using procpool::start_method;

constexpr std::int64_t factor = 10 * PLUGIN_NUMBER;

std::int64_t scale(std::int64_t x) {
  if (x == 3) std::abort();
  return x * factor;
}

plugin_item scale_item(plugin_item item) {
  for (std::int64_t& number : item.numbers) number *= factor;
  return item;
}

void refuse(int x) { throw plugin_error(std::to_string(x)); }

std::int64_t sum(const procpool::shared_array<std::int64_t>& numbers) {
  std::int64_t result = 0;
  for (const std::int64_t number : numbers) result += number;
  return result;
}

#if PLUGIN_NUMBER == 2
int count_up(const procpool::mutex& lock, const procpool::shared_value<int>& count) {
  const std::lock_guard guard(lock);
  return ++*count;
}

void set(const procpool::shared_value<int>& to, int value) { *to = value; }

void append(const procpool::proxy<std::vector<int>>& to, int value) {
  to.call([](std::vector<int>& v, int x) { v.push_back(x); }, value);
}
#endif

start_method method_of(std::string_view name) {
  if (name == "fork") return start_method::fork;
  return name == "forkserver" ? start_method::forkserver : start_method::spawn;
}

void expect(bool as_expected, int line) {
  if (!as_expected) throw line;
}

void run(const char* method, bool is_local) {
  procpool::process_pool_executor pool({.max_workers = 2, .start = method_of(method)});
  std::int64_t total = 0;
  int crashed = 0;
  for (auto& y : pool.map(scale, std::vector<std::int64_t>{1, 2, 3, 4}).outcomes()) {
    if (y) {
      total += *y;
    } else {
      std::fprintf(stderr, "%s\n", y.what().c_str());
      ++crashed;
    }
  }
  expect(crashed == 1, __LINE__);
  expect(total == 7 * factor, __LINE__);

  if (is_local) {  // otherwise the loader takes all that has one name for the same
    plugin_item item;
    item.numbers.fill(5);
    expect(pool.submit(scale_item, item).get().numbers.back() == 5 * factor, __LINE__);
  }

  try {
    pool.submit(refuse, PLUGIN_NUMBER).get();
    expect(false, __LINE__);
  } catch (const plugin_error& e) {
    expect(std::string_view(e.what()) == std::to_string(PLUGIN_NUMBER), __LINE__);
  }

  procpool::shared_array<std::int64_t> numbers(100);
  for (std::int64_t& number : numbers) number = factor;
  expect(pool.submit(sum, numbers).get() == 100 * factor, __LINE__);
#if PLUGIN_NUMBER == 2
  // The other build does without, so that less of a static library is linked into it.
  const procpool::mutex lock;
  const procpool::shared_value<int> count(0);
  auto first = pool.submit(count_up, lock, count);
  auto second = pool.submit(count_up, lock, count);
  expect(first.get() + second.get() == 3, __LINE__);

  // Their threads stay, and would be strangers to another copy of procpool that forks.
  if (method_of(method) == start_method::fork) return;
  procpool::process_options as_told;
  as_told.start = method_of(method);
  procpool::process process(as_told, set, count, 7);
  process.join();
  expect(process.exit_code() == 0 && *count == 7, __LINE__);

  procpool::manager manager(as_told);
  const auto list = manager.make<std::vector<int>>();
  pool.submit(append, list, 8).get();
  expect(list.call([](const std::vector<int>& v) { return v.size(); }) == 1, __LINE__);
#endif
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int run_pool(const char* method, int is_local) noexcept {
  try {
    run(method, is_local != 0);
    return 0;
  } catch (int line) {
    std::fprintf(stderr, "plug-in %d: line %d\n", PLUGIN_NUMBER, line);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "plug-in %d: %s\n", PLUGIN_NUMBER, e.what());
  }
  return 1;
}
