// Values and exceptions, end to end: into a worker and back, of all kinds and sizes.
#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "support/pool_test.hpp"

namespace values_test_types {

enum class color : unsigned char { red, green };

struct point {
  int x = 0, y = 0;
  friend bool operator==(const point&, const point&) = default;
  int sum() const { return x + y; }
};

struct shape {
  std::string name;
  std::vector<point> points;
  std::optional<color> fill;
  std::map<std::string, double> weights;
  friend bool operator==(const shape&, const shape&) = default;
};

// Neither an aggregate nor default-constructible.
class token {
 public:
  explicit token(int v) : value_(v) {}
  token(token&&) = default;
  token& operator=(token&&) = default;
  int value() const { return value_; }

 private:
  int value_;
};

struct scale {  // a function object with state
  int factor = 1;
  int operator()(int x) const { return x * factor; }
};

class overdrawn : public std::runtime_error {
 public:
  explicit overdrawn(const std::string& what) : std::runtime_error(what) {}
};

class refused : public std::exception {
 public:
  refused(int code, std::string reason) : code_(code), reason_(std::move(reason)) {}
  const char* what() const noexcept override { return reason_.c_str(); }
  int code() const { return code_; }

 private:
  int code_;
  std::string reason_;
};

struct unknown_here : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace values_test_types

template <>
struct procpool::codec<values_test_types::token> {
  static int to_wire(const values_test_types::token& t) { return t.value(); }
  static values_test_types::token from_wire(int v) { return values_test_types::token(v); }
};
template <>
struct procpool::codec<values_test_types::refused> {
  static auto to_wire(const values_test_types::refused& r) {
    return std::pair<int, std::string>(r.code(), r.what());
  }
  static values_test_types::refused from_wire(std::pair<int, std::string> w) {
    return values_test_types::refused(w.first, std::move(w.second));
  }
};
PROCPOOL_EXCEPTION(values_test_types::overdrawn);
PROCPOOL_EXCEPTION(values_test_types::refused);

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace values_test_types;
using namespace std::chrono_literals;

class values_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(values_test);

template <class T>
void expect_back(process_pool_executor& pool, const T& value) {
  EXPECT_EQ(pool.submit([](T v) { return v; }, value).get(), value);
}

TEST_P(values_test, every_kind) {
  process_pool_executor pool(options(1));
  expect_back(pool, std::tuple<bool, char, std::int64_t, double, color, std::byte>{
                        true, 'x', -5, 0.1, color::green, std::byte{7}});
  expect_back(pool, shape{"tri\0angle", {{1, 2}, {3, 4}}, color::red, {{"a", 0.5}}});
  expect_back(pool, std::vector<bool>{true, false, true});
  expect_back(pool, std::tuple(std::array<int, 3>{1, 2, 3}, std::deque<std::string>{"a", ""},
                               std::list<int>{4, 5}));
  expect_back(pool, std::tuple(std::set<int>{1, 2}, std::multiset<int>{1, 1},
                               std::multimap<int, std::string>{{1, "x"}, {1, "y"}},
                               std::unordered_set<int>{3}, std::unordered_map<int, int>{{1, 2}}));
  expect_back(pool, std::tuple(std::optional<int>{}, std::variant<int, std::string>("v"),
                               std::complex<double>(1, 2), std::bitset<70>("101")));
  expect_back(pool, std::tuple(std::chrono::nanoseconds(5), std::filesystem::path("/tmp/x")));
  auto shared = pool.submit([](std::shared_ptr<int> p) { return p; }, std::make_shared<int>(5));
  EXPECT_EQ(*shared.get(), 5);
}

TEST_P(values_test, move_only_and_non_default_constructible) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(*pool.submit([](std::unique_ptr<int> p) { return std::make_unique<int>(*p + 1); },
                         std::make_unique<int>(4))
                 .get(),
            5);
  EXPECT_EQ(pool.submit([](token t) { return token(t.value() * 2); }, token(21)).get().value(), 42);
  EXPECT_EQ(pool.submit([](std::vector<token> v) { return v.size(); },
                        [] {
                          std::vector<token> v;
                          v.emplace_back(1);
                          return v;
                        }())
                .get(),
            1U);
  static_assert(std::is_same_v<decltype(pool.submit([] {}).get()), void>);
  pool.submit([] {}).get();
  for (auto& o : pool.map([](int x) { return token(x); }, {7}).outcomes()) EXPECT_EQ(o->value(), 7);
}

TEST_P(values_test, kinds_of_functions) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(pool.submit(&point::sum, point{1, 2}).get(), 3);
  EXPECT_EQ(pool.submit(&point::y, point{1, 2}).get(), 2);
  EXPECT_EQ(pool.submit(scale{3}, 14).get(), 42);
  EXPECT_EQ(
      pool.submit(partial([](int a, const std::string& b, int c) { return a + std::stoi(b) + c; },
                          1, "20"),
                  300)
          .get(),
      321);
  EXPECT_EQ(pool.submit(partial(std::strcmp, "a"), "a").get(), 0) << "a C function, as by submit";
  EXPECT_EQ(pool.submit(partial(partial(std::strspn, std::string("abc")), "cba")).get(), 3U);
  EXPECT_EQ(pool.map(partial(std::plus<>(), 10), {1, 2, 3}).to_vector(),
            (std::vector<int>{11, 12, 13}));
  EXPECT_EQ(pool.map(&point::x, std::vector<point>{{4, 0}, {5, 0}}).to_vector(),
            (std::vector<int>{4, 5}));
  // A reference result is copied.
  auto f = pool.submit([](const std::string& s) -> const std::string& { return s; }, "text");
  static_assert(std::is_same_v<decltype(f), future<std::string>>);
  EXPECT_EQ(f.get(), "text");
}

// Where a task's argument lies, by the maps of its own process.
std::string mapping_of(const void* p) {
  std::FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  std::string found;
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    std::uintptr_t begin = 0, end = 0;
    char name[400] = "";
    std::sscanf(line, "%lx-%lx %*s %*s %*s %*s %399[^\n]", &begin, &end, name);
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    if (at >= begin && at < end) found = name;
  }
  if (maps != nullptr) std::fclose(maps);
  return found;
}

TEST_P(values_test, views_are_read_in_place) {
  process_pool_executor pool(options(1));
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{60}, std::size_t{4000}, std::size_t{1} << 20U}) {
    const std::string text(size, 'q');
    EXPECT_NE(pool.submit([](std::string_view s) { return mapping_of(s.data()); }, text)
                  .get()
                  .find("procpool-region"),
              std::string::npos)
        << size;
    EXPECT_EQ(pool.submit([](std::string_view s) { return std::string(s); }, text).get(), text);
    std::vector<double> doubles(size);
    std::iota(doubles.begin(), doubles.end(), 0.5);
    const auto sum = [](int shift, std::span<const double> s) {
      const bool aligned = reinterpret_cast<std::uintptr_t>(s.data()) % alignof(double) == 0;
      const bool in_place = mapping_of(s.data()).find("procpool-region") != std::string::npos;
      return std::tuple(aligned, in_place, std::accumulate(s.begin(), s.end(), double(shift)));
    };
    EXPECT_EQ(pool.submit(sum, 1, doubles).get(),
              std::tuple(true, true, std::accumulate(doubles.begin(), doubles.end(), 1.0)));
    EXPECT_EQ(pool.submit(sum, 1, std::span<const double>(doubles)).get(),
              pool.submit(sum, 1, doubles).get());
  }
  // In a map, too.
  const std::vector<std::string> texts{"a", "bb", ""};
  EXPECT_EQ(pool.map([](std::string_view s) { return s.size(); }, texts).to_vector(),
            (std::vector<std::size_t>{1, 2, 0}));
}

std::vector<std::uint32_t> pattern(std::size_t n) {
  std::vector<std::uint32_t> v(n);
  std::uint32_t x = 12345;
  for (std::uint32_t& each : v) each = x = x * 1664525 + 1013904223;
  return v;
}

TEST_P(values_test, sizes_from_nothing_to_64_mib) {
  process_pool_executor pool(options(2));
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{4}, std::size_t{64}, std::size_t{76}, std::size_t{80},
        std::size_t{84}, std::size_t{128}, std::size_t{4096}, std::size_t{65536} + 4,
        std::size_t{1} << 20U, std::size_t{64} << 20U}) {
    const std::vector<std::uint32_t> sent = pattern(bytes / 4);
    const auto back =
        pool.submit([](const std::vector<std::uint32_t>& v) { return v; }, sent).get();
    EXPECT_TRUE(back == sent) << bytes;
  }
}

TEST_P(values_test, a_hundred_of_1_mib_at_once) {
  process_pool_executor pool(options(2));
  const auto f = [](std::vector<std::uint32_t> v, std::uint32_t i) {
    for (std::uint32_t& x : v) x ^= i;
    return v;
  };
  std::vector<future<std::vector<std::uint32_t>>> fs;
  const std::vector<std::uint32_t> sent = pattern((1 << 20) / 4);
  for (std::uint32_t i = 0; i < 100; ++i) fs.push_back(pool.submit(f, sent, i));
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto back = fs[i].get();
    ASSERT_EQ(back.size(), sent.size());
    EXPECT_EQ(back.front(), sent.front() ^ i);
    EXPECT_EQ(back.back(), sent.back() ^ i);
  }
}

// Arguments are encoded at submit: what the caller does to them later does not show.
TEST_P(values_test, later_changes_do_not_show) {
  process_pool_executor pool(options(1));
  std::vector<int> v{1, 2, 3};
  auto f = pool.submit([](const std::vector<int>& x) { return x.size(); }, v);
  v.clear();
  EXPECT_EQ(f.get(), 3U);
}

// The remote_error that is nested in what comes back, innermost.
template <class E>
remote_error origin_of(const E& e) {
  try {
    std::rethrow_if_nested(e);
  } catch (const remote_error& r) {
    return r;
  } catch (const std::exception& inner) {
    return origin_of(inner);
  }
  return remote_error("none", "not nested", "");
}

TEST_P(values_test, standard_exceptions) {
  process_pool_executor pool(options(1));
  try {
    pool.submit({.label = "lookup"}, [] { throw std::out_of_range("key"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "key");
    const remote_error origin = origin_of(e);
    EXPECT_EQ(origin.type_name(), "std::out_of_range");
    EXPECT_NE(origin.where().find("lookup"), std::string::npos) << origin.where();
    EXPECT_NE(origin.where().find("worker 0"), std::string::npos) << origin.where();
  }
  try {
    pool.submit([] {
          throw std::system_error(std::make_error_code(std::errc::no_space_on_device), "writing");
        })
        .get();
    ADD_FAILURE() << "must throw";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::no_space_on_device);
    EXPECT_NE(std::string(e.what()).find("writing"), std::string::npos);
  }
  EXPECT_THROW(pool.submit([] { throw std::bad_alloc(); }).get(), std::bad_alloc);
  EXPECT_THROW(pool.submit([] { throw codec_error("mine"); }).get(), codec_error);
  EXPECT_THROW(pool.submit([] { throw std::runtime_error(std::string(100'000, 'w')); }).get(),
               std::runtime_error);
}

TEST_P(values_test, registered_exceptions) {
  process_pool_executor pool(options(1));
  try {
    pool.submit([] { throw overdrawn("by 5"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const overdrawn& e) {
    EXPECT_STREQ(e.what(), "by 5");
  }
  try {
    pool.submit([] { throw refused(17, "no"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const refused& e) {
    EXPECT_EQ(e.code(), 17);
    EXPECT_STREQ(e.what(), "no");
  }
}

TEST_P(values_test, exceptions_of_unknown_types) {
  process_pool_executor pool(options(1));
  try {
    pool.submit([] { throw unknown_here("what it says"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const remote_error& e) {
    EXPECT_EQ(e.type_name(), "values_test_types::unknown_here");
    EXPECT_NE(std::string(e.what()).find("what it says"), std::string::npos);
  }
  try {
    pool.submit([] { throw 42; }).get();
    ADD_FAILURE() << "must throw";
  } catch (const remote_error& e) {
    EXPECT_EQ(e.type_name(), "int");
  }
  try {
    pool.submit([] { throw std::logic_error(""); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const std::logic_error& e) {
    EXPECT_STREQ(e.what(), "");
  }
  for (auto& o : pool.map(
                         [](int x) {
                           if (x == 1) throw 'c';
                           return x;
                         },
                         {0, 1, 2})
                     .outcomes()) {
    EXPECT_EQ(o.has_value(), o.index() != 1);
  }
}

// In which worker and which task: as remote_error::where() for all that is thrown.
TEST_P(values_test, where_an_exception_was_thrown) {
  process_pool_executor pool(options(1));
  const std::string worker =
      "worker 0 (pid " + std::to_string(pool.submit([] { return getpid(); }).get()) + ")";
  const auto label = [](const char* text) { return task_options{.label = text}; };
  try {
    pool.submit(label("pay"), [] { throw overdrawn("by 5"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const overdrawn& e) {
    EXPECT_EQ(origin_of(e).where(), worker + ", task 'pay'");
    EXPECT_EQ(origin_of(e).type_name(), "values_test_types::overdrawn");
  }
  try {
    pool.submit([] { throw refused(17, "no"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const refused& e) {
    EXPECT_EQ(origin_of(e).where(), worker);
    EXPECT_EQ(origin_of(e).type_name(), "values_test_types::refused");
  }
  try {
    pool.submit(label("guess"), [] { throw unknown_here("what it says"); }).get();
    ADD_FAILURE() << "must throw";
  } catch (const remote_error& e) {
    EXPECT_EQ(e.where(), worker + ", task 'guess'");
  }
  try {
    pool.submit([] { throw 42; }).get();
    ADD_FAILURE() << "must throw";
  } catch (const remote_error& e) {
    EXPECT_EQ(e.where(), worker);
  }
  const auto throws_at_2 = [](int x) {
    if (x == 2) throw unknown_here("an item");
    return x;
  };
  int errors = 0;
  for (auto& o :
       pool.map({.chunksize = 4, .task = label("item")}, throws_at_2, {0, 1, 2, 3}).outcomes()) {
    if (o) continue;
    ++errors;
    EXPECT_EQ(o.index(), 2U);
    try {
      o.value();
    } catch (const remote_error& e) {
      EXPECT_EQ(e.where(), worker + ", task 'item'");
    }
  }
  EXPECT_EQ(errors, 1);
}

TEST_P(values_test, nested_exceptions) {
  process_pool_executor pool(options(1));
  try {
    pool.submit([] {
          try {
            throw std::invalid_argument("inner");
          } catch (...) {
            std::throw_with_nested(std::runtime_error("outer"));
          }
        })
        .get();
    ADD_FAILURE() << "must throw";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "outer");
    try {
      std::rethrow_if_nested(e);
      ADD_FAILURE() << "must throw";
    } catch (const std::invalid_argument& inner) {
      EXPECT_STREQ(inner.what(), "inner");
    }
    EXPECT_NE(origin_of(e).where(), "");
  }
}

}  // namespace
