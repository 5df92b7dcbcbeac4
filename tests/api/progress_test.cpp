// progress(): what it shows on a terminal, in a log, and when it is quiet.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <ranges>
#include <regex>
#include <sstream>
#include <vector>

#include "base/plain_text.hpp"
#include "support/captured_stderr.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

class progress_test : public leak_free_test {
 protected:
  void SetUp() override {
    leak_free_test::SetUp();
    unsetenv("PROCPOOL_QUIET");
  }
};

template <class R>
std::size_t read_all(R&& range) {
  std::size_t n = 0;
  for ([[maybe_unused]] auto&& x : range) ++n;
  return n;
}

TEST_F(progress_test, plain_lines_in_a_log) {
  captured_stderr err(false);
  EXPECT_EQ(read_all(progress(std::vector<int>(250), {.label = "resize"})), 250U);
  const std::string text = err.take();
  EXPECT_EQ(text.rfind("resize: 100% 250/250, ", 0), 0U) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos) << text;
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << "now and then, not for each element";
}

TEST_F(progress_test, a_bar_on_a_terminal) {
  captured_stderr err(true);
  EXPECT_EQ(read_all(progress(std::vector<int>(1000), {.label = "resize"})), 1000U);
  const std::string text = err.take();
  EXPECT_NE(text.find("\rresize: [##############################] 100% 1,000/1,000, "),
            std::string::npos)
      << text;
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(progress_test, a_bar_fits_the_terminal) {
  captured_stderr err(true, 30);
  EXPECT_EQ(read_all(progress(std::vector<int>(10), {.label = std::string(100, 'l')})), 10U);
  std::istringstream lines(err.take());
  for (std::string line; std::getline(lines, line, '\r');) {
    EXPECT_LT(line.substr(0, line.find('\x1b')).size(), 30U) << line;
  }
}

// What the terminal is to show, drawing by drawing: without the return to the first column and the
// order to erase the rest.
std::vector<std::string> drawings(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line, '\r');) {
    if (const std::size_t end = line.find('\x1b'); end != std::string::npos) {
      all.push_back(line.substr(0, end));
    }
  }
  return all;
}

TEST_F(progress_test, a_label_is_cut_between_letters_on_every_width) {
  const std::string label = "\u8fdb\u5ea6e\u0301\U0001f600\u8fdb\u5ea6\u8fdb\u5ea6";
  for (unsigned short columns = 1; columns <= 20; ++columns) {
    captured_stderr err(true, columns);
    EXPECT_EQ(read_all(progress(std::vector<int>(3), {.label = label})), 3U);
    const std::string text = err.take();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << columns;
    for (const std::string& line : drawings(text)) {
      EXPECT_LT(base::columns_of(line), columns);
      EXPECT_EQ(base::plain_line(line), line) << columns << ": a letter was cut";
      EXPECT_TRUE((label + ": ").starts_with(line) || line.starts_with(label));
    }
  }
}

TEST_F(progress_test, a_label_stays_on_its_line) {
  for (const bool terminal : {true, false}) {
    captured_stderr err(terminal);
    const progress_options options{.label = "two\nlines\r\x1b[31m\x1b[2J!", .unit = "files\n"};
    EXPECT_EQ(read_all(progress(std::vector<int>(3), options)), 3U);
    const std::string text = err.take();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_NE(text.find("two lines !: "), std::string::npos) << text;
    EXPECT_EQ(text.find("[2J"), std::string::npos) << text;
  }
}

TEST_F(progress_test, a_quiet_bar_prints_nothing) {
  {
    captured_stderr err(true);
    EXPECT_EQ(read_all(progress(std::vector<int>(10), {.label = "x", .quiet = true})), 10U);
    EXPECT_EQ(err.take(), "");
  }
  setenv("PROCPOOL_QUIET", "1", 1);
  captured_stderr err(false);
  EXPECT_EQ(read_all(progress(std::vector<int>(10))), 10U);
  EXPECT_EQ(err.take(), "");
  unsetenv("PROCPOOL_QUIET");
}

// "serial: 100% 4,424/4,424 files, 6,060/s, 0:00"
TEST_F(progress_test, numbers_are_for_people_and_have_a_unit) {
  captured_stderr err(false);
  EXPECT_EQ(read_all(progress(std::vector<int>(1'234'567), {.unit = "files"})), 1'234'567U);
  const std::string text = err.take();
  EXPECT_EQ(text.rfind("100% 1,234,567/1,234,567 files, ", 0), 0U) << text;
  const std::regex rate("files, [0-9]{1,3}(,[0-9]{3})*/s, 0:[0-9]{2}\n$");
  EXPECT_TRUE(std::regex_search(text, rate)) << text;
}

TEST_F(progress_test, totals) {
  {
    captured_stderr err(false);
    std::istringstream in("1 2 3");
    EXPECT_EQ(read_all(progress(std::views::istream<int>(in))), 3U);
    EXPECT_EQ(err.take().rfind("3, ", 0), 0U) << "unknown: just how many";
  }
  {
    captured_stderr err(false);
    std::istringstream in("1 2 3");
    EXPECT_EQ(read_all(progress(std::views::istream<int>(in), {.total = 4})), 3U);
    EXPECT_EQ(err.take().rfind("75% 3/4, ", 0), 0U);
  }
  captured_stderr err(false);
  EXPECT_EQ(read_all(progress(std::vector<int>{})), 0U);
  EXPECT_EQ(err.take().rfind("0, ", 0), 0U);
}

class progress_of_a_map_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(progress_of_a_map_test);

TEST_P(progress_of_a_map_test, shows_the_total_and_passes_all_items_on) {
  process_pool_executor pool(options());
  captured_stderr err(false);
  int sum = 0;
  for (auto&& r : progress(pool.map([](int x) { return 2 * x; }, std::vector<int>(50, 1)),
                           {.label = "double"})) {
    static_assert(std::is_same_v<decltype(r), int&>);
    sum += r;
  }
  EXPECT_EQ(sum, 100);
  EXPECT_EQ(err.take().rfind("double: 100% 50/50, ", 0), 0U);
}

TEST_P(progress_of_a_map_test, ranges_with_a_known_size_show_the_total) {
  process_pool_executor pool(options());
  const auto twice = [](int x) { return 2 * x; };
  const auto shown = [](auto&& range) {
    captured_stderr err(false);
    read_all(progress(std::forward<decltype(range)>(range)));
    return err.take();
  };
  std::vector<int> xs(7, 1);
  const std::string all = "100% 7/7, ";
  auto results = pool.map(twice, xs);
  EXPECT_EQ(shown(results).rfind(all, 0), 0U);
  EXPECT_EQ(shown(pool.map(twice, xs).outcomes()).rfind(all, 0), 0U);
  auto read_later = pool.map(twice, xs);
  EXPECT_EQ(shown(read_later.outcomes()).rfind(all, 0), 0U);
  EXPECT_EQ(shown(pipeline(stage(pool, twice)).run(xs)).rfind(all, 0), 0U);
  EXPECT_EQ(shown(pipeline(stage(pool, twice)).run(xs).outcomes()).rfind(all, 0), 0U);
  std::vector<future<int>> futures;
  for (int x : xs) futures.push_back(pool.submit(twice, x));
  EXPECT_EQ(shown(as_completed(futures)).rfind(all, 0), 0U);
  EXPECT_EQ(shown(wait(futures).done).rfind(all, 0), 0U);
  auto completed = as_completed(futures, std::identity{});
  EXPECT_EQ(shown(completed).rfind(all, 0), 0U);
}

TEST_P(progress_of_a_map_test, errors_of_the_map_reach_the_reader) {
  process_pool_executor pool(options());
  captured_stderr err(false);
  const auto f = [](int x) {
    if (x == 3) throw std::out_of_range("three");
    return x;
  };
  const std::vector<int> xs{1, 2, 3, 4};
  int read = 0;
  EXPECT_THROW(
      {
        for ([[maybe_unused]] auto&& r : progress(pool.map(f, xs))) ++read;
      },
      std::out_of_range);
  EXPECT_EQ(read, 2);
  EXPECT_EQ(err.take().rfind("50% 2/4, ", 0), 0U) << "shows how far it got";
}

}  // namespace
