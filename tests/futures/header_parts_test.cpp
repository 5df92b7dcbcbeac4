// What the library has in place of parts of <functional> and <future> agrees with the originals.
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>

#include "procpool/detail/codec/codec_check.hpp"
#include "procpool/detail/std/future_status.hpp"
#include "procpool/detail/task/call_function.hpp"

namespace procpool::detail {
namespace {

struct base {
  int x = 3;
  constexpr int plus(int y) const { return x + y; }
  int moved() && { return 1; }
};
struct derived : base {};
constexpr derived object;

static_assert(call_function(&base::plus, object, 4) == std::invoke(&base::plus, object, 4));
static_assert(call_function(&base::plus, &object, 4) == 7);
static_assert(call_function(&base::x, std::cref(object)) == 3);
static_assert(std::is_same_v<decltype(call_function(&base::x, std::declval<base&>())), int&>);
static_assert(std::is_same_v<decltype(call_function(&base::x, std::declval<base>())), int&&>);

static_assert(wait_status(true) == std::future_status::ready);
static_assert(wait_status(false) == std::future_status::timeout);

static_assert(is_result_to_come<std::future<int>> && is_result_to_come<std::shared_future<void>> &&
              is_result_to_come<std::promise<int>>);
static_assert(!is_result_to_come<std::function<void()>> && !is_result_to_come<base>);

TEST(header_parts_test, calls_by_pointers_to_members_and_by_functions) {
  const auto owned = std::make_unique<base>();
  const auto shared = std::make_shared<derived>();
  EXPECT_EQ(call_function(&base::plus, owned, 1), 4);
  EXPECT_EQ(call_function(&base::x, shared), 3);
  EXPECT_EQ(call_function(&base::moved, base{}), 1);
  EXPECT_EQ(call_function([](int i) { return 2 * i; }, 2), 4);
}

}  // namespace
}  // namespace procpool::detail
