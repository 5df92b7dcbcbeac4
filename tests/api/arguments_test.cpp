// What may stand where: shared futures in ranges, results of wait in wait, proxies in map, strings
// for functions of C.
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

extern "C" {
// As in any library of C.
static int count_spaces(const char* text) {
  int n = 0;
  for (; *text != '\0'; ++text) n += *text == ' ' ? 1 : 0;
  return n;
}
static int compare_text(const char* a, const char* b) { return std::strcmp(a, b); }
}

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int fail() { throw std::out_of_range("it failed"); }
int invert(bool x) { return x ? 0 : 1; }

class arguments_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(arguments_test);

TEST_P(arguments_test, shared_futures_are_waited_for_like_others) {
  process_pool_executor pool(options(1));
  tally gate;
  std::vector<shared_future<int>> all;
  all.push_back(pool.submit(arrive_and_wait, gate.path(), gate.path(), 7).share());
  all.push_back(pool.submit(echo, 8).share());
  all.push_back(all[0]);  // the same task is named once

  const auto some = wait(all, {.timeout = 5s, .until = return_when::first_completed});
  EXPECT_EQ(some.done.size() + some.not_done.size(), 2u);
  std::vector<int> values;
  for (shared_future<int>& f : as_completed(all)) values.push_back(f.get());
  EXPECT_EQ(values, (std::vector<int>{7, 8}));
  // Reading takes nothing away.
  EXPECT_EQ(wait(all).done.size(), 2u);
  EXPECT_EQ(all[2].get(), 7);
  EXPECT_EQ(all[2].exception(), nullptr);

  shared_future<int> bad = pool.submit(fail).share();
  EXPECT_NE(bad.exception(), nullptr);
  EXPECT_THROW(bad.get(), std::out_of_range);
  std::vector<shared_future<int>> none(1);
  EXPECT_THROW(wait(none), invalid_state_error);
  EXPECT_THROW(none[0].exception(), invalid_state_error);
}

TEST_P(arguments_test, futures_that_wait_returns_can_be_waited_for) {
  process_pool_executor pool(options(1));
  std::vector<future<int>> fs;
  for (int i = 0; i < 4; ++i) fs.push_back(pool.submit(echo, i));
  EXPECT_EQ(wait(wait(fs).done).done.size(), 4u);
  int sum = 0;
  for (future<int>& f : as_completed(wait(fs).done)) sum += f.get();
  EXPECT_EQ(sum, 6);
}

TEST_P(arguments_test, futures_by_reference_and_by_pointer) {
  process_pool_executor pool(options(1));
  future<int> a = pool.submit(echo, 1), b = pool.submit(echo, 2);
  std::vector<std::reference_wrapper<future<int>>> references{a, b};
  EXPECT_EQ(wait(references).done.size(), 2u);
  std::deque<future<int>*> pointers{&a, &b};
  int sum = 0;
  for (future<int>* f : as_completed(pointers)) sum += f->get();
  EXPECT_EQ(sum, 3);
}

TEST_P(arguments_test, a_range_of_bool_in_map) {
  process_pool_executor pool(options(1));
  std::vector<bool> bits{true, false, false, true};
  EXPECT_EQ(pool.map(invert, bits).to_vector(), (std::vector<int>{0, 1, 1, 0}));
  EXPECT_EQ(pool.map(invert, std::vector<bool>(3)).to_vector(), (std::vector<int>{1, 1, 1}));
}

TEST_P(arguments_test, c_functions_take_text_arguments) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(pool.submit(count_spaces, "as it stands").get(), 2);
  const std::string text(10000, ' ');
  EXPECT_EQ(pool.submit(count_spaces, text).get(), 10000);
  EXPECT_EQ(pool.submit(compare_text, std::string("a"), "a").get(), 0);
  const std::vector<std::string> lines{"a b", "", "c d e"};
  EXPECT_EQ(pool.map(count_spaces, lines).to_vector(), (std::vector<int>{1, 0, 2}));
  EXPECT_EQ(pool.map(compare_text, lines, lines).to_vector(), (std::vector<int>{0, 0, 0}));
}

}  // namespace
