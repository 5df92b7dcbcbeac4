// What can be a task, and what its function gets. Packed and run in one process, as the worker
// would.
#include "procpool/detail/task/task_call.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "procpool/invocation.hpp"
#include "procpool/partial.hpp"
#include "support/round_trip.hpp"

namespace {

using procpool::codec_error;
using procpool::invocation;
using procpool::partial;
using procpool::detail::heap_writer;
using procpool::detail::task_call;
using procpool::detail::wire_buffer;
using procpool::detail::wire_reader;

template <class F, class... Args>
wire_buffer packed(F f, Args&&... args) {
  heap_writer writer;
  task_call<F, Args...>::pack(writer, f, args...);
  return writer.take();
}

template <class F, class... Args>
auto call(F f, Args&&... args) {
  const wire_buffer bytes = packed(f, args...);
  wire_reader reader(bytes.data(), bytes.size());
  return task_call<F, Args...>::run(reader);
}

int add(int a, int b) { return a + b; }
int negate(int a) noexcept { return -a; }
std::string greet(std::string_view name) { return "hello, " + std::string(name); }
double sum(std::span<const double> values) {
  double total = 0;
  for (const double v : values) {
    total += v;
  }
  return total;
}
std::unique_ptr<int> increment(std::unique_ptr<int> p) {
  ++*p;
  return p;
}
const std::string& same(const std::string& s) { return s; }

struct adder {
  int amount;
  int operator()(int x) const { return x + amount; }
};

class meter {
 public:
  explicit meter(int v) : value_(v) {}
  virtual ~meter() = default;
  meter(const meter&) = default;
  int plus(int x) const { return value_ + x; }
  virtual int doubled() const { return 2 * value_; }

 private:
  int value_;
  friend procpool::codec<meter>;
};

struct pair_of_numbers {
  int first;
  int second;
};

}  // namespace

template <>
struct procpool::codec<meter> {
  static int to_wire(const meter& m) { return m.value_; }
  static meter from_wire(int value) { return meter(value); }
};

namespace {

TEST(task_call, functions) {
  EXPECT_EQ(call(add, 2, 3), 5);
  EXPECT_EQ(call(&negate, 4), -4);
  EXPECT_EQ(call([](int a) { return a * 2; }, 4), 8);
  EXPECT_EQ(call([](auto a) { return a + 1; }, 1.5), 2.5);
  EXPECT_EQ(call([=](int a) { return a; }, 4), 4);  // captures nothing, though it could
  EXPECT_EQ(call(adder{10}, 5), 15);
}

TEST(task_call, a_function_without_state_takes_no_bytes) {
  EXPECT_EQ(packed([](int a, int b) { return a + b; }, 1, 2).size(), 2 * sizeof(int));
  EXPECT_EQ(packed([] {}).size(), 0U);
}

TEST(task_call, members) {
  EXPECT_EQ(call(&meter::plus, meter(3), 4), 7);
  EXPECT_EQ(call(&meter::doubled, meter(3)), 6);
  EXPECT_EQ(call(&pair_of_numbers::second, pair_of_numbers{1, 2}), 2);
}

TEST(task_call, text_arrives_as_a_string) {
  EXPECT_EQ(call(greet, "literal"), "hello, literal");
  EXPECT_EQ(call(greet, std::string("string")), "hello, string");
  EXPECT_EQ(call(greet, std::string_view("view")), "hello, view");
  EXPECT_EQ(call([](std::string s) { return s.size(); }, "four"), 4U);
  char buffer[16] = "in a buffer";
  EXPECT_EQ(call(same, buffer), "in a buffer");
  EXPECT_THROW(call(greet, static_cast<const char*>(nullptr)), codec_error);
}

TEST(task_call, spans_and_vectors_fit_either_way) {
  std::vector<double> values{1, 2, 3};
  EXPECT_EQ(call(sum, values), 6);
  EXPECT_EQ(call(sum, std::span<double>(values)), 6);
  EXPECT_EQ(call(sum, std::vector<double>()), 0);
  EXPECT_EQ(call([](std::vector<double> v) { return v.size(); }, std::span<const double>(values)),
            3U);
  EXPECT_EQ(call([](const std::vector<bool>& v) { return v.size(); },
                 std::vector<bool>{true, false, true}),
            3U);
}

TEST(task_call, views_read_in_place) {
  const std::vector<int> values(100, 7);
  const auto first = [](std::span<const int> s) {
    return reinterpret_cast<std::uintptr_t>(s.data());
  };
  const wire_buffer task = packed(first, values);
  wire_reader reader(task.data(), task.size());
  const auto where = (task_call<decltype(first), const std::vector<int>&>::run(reader));
  EXPECT_GE(where, reinterpret_cast<std::uintptr_t>(task.data()));
  EXPECT_LT(where, reinterpret_cast<std::uintptr_t>(task.data() + task.size()));
  EXPECT_EQ(where % alignof(int), 0U);
}

TEST(task_call, move_only_arguments_and_results) {
  EXPECT_EQ(*call(increment, std::make_unique<int>(4)), 5);
}

TEST(task_call, a_reference_result_is_copied_before_its_argument_ends) {
  EXPECT_EQ(call(same, std::string(100, 'x')), std::string(100, 'x'));
}

// Says when it is destroyed.
class witness {
 public:
  explicit witness(int) { ++alive; }
  witness(const witness&) { ++alive; }
  ~witness() { --alive; }
  static inline int alive = 0;
};

}  // namespace

template <>
struct procpool::codec<witness> {
  static int to_wire(const witness&) { return 0; }
  static witness from_wire(int number) { return witness(number); }
};

namespace {

TEST(task_call, arguments_are_destroyed_when_the_call_returns) {
  const auto look = [](const witness&, int) { return witness::alive; };
  const wire_buffer bytes = packed(look, witness(0), 1);
  ASSERT_EQ(witness::alive, 0);
  wire_reader reader(bytes.data(), bytes.size());
  EXPECT_EQ((task_call<decltype(look), witness, int>::run(reader)), 1);
  EXPECT_EQ(witness::alive, 0);
  wire_reader cut(bytes.data(), bytes.size() - 1);
  EXPECT_THROW((task_call<decltype(look), witness, int>::run(cut)), codec_error);
  EXPECT_EQ(witness::alive, 0);
}

TEST(task_call, bytes_of_other_arguments_are_refused) {
  const wire_buffer bytes = packed(add, 1, 2);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    wire_reader cut(bytes.data(), size);
    EXPECT_THROW((task_call<decltype(&add), int, int>::run(cut)), codec_error);
  }
  const wire_buffer more = packed([](int, int, int) {}, 1, 2, 3);
  wire_reader reader(more.data(), more.size());
  const auto two = [](int a, int b) { return a + b; };
  EXPECT_THROW((task_call<decltype(two), int, int>::run(reader)), codec_error);
  heap_writer forged;
  forged.write_value(static_cast<unsigned char>(2));
  const auto bytes_of_bool = forged.take();
  wire_reader bad_bool(bytes_of_bool.data(), bytes_of_bool.size());
  const auto takes_bool = [](bool b) { return b; };
  EXPECT_THROW((task_call<decltype(takes_bool), bool>::run(bad_bool)), codec_error);
}

TEST(task_call, a_map_decodes_its_function_once) {
  using scaled = task_call<adder, int>;
  heap_writer function;
  scaled::pack_function(function, adder{100});
  const wire_buffer f_bytes = function.take();
  wire_reader f_reader(f_bytes.data(), f_bytes.size());
  const adder f = scaled::decode_function(f_reader);
  for (int i = 0; i < 3; ++i) {
    heap_writer item;
    scaled::pack_arguments(item, i);
    const wire_buffer bytes = item.take();
    wire_reader reader(bytes.data(), bytes.size());
    EXPECT_EQ(scaled::run_with(f, reader), 100 + i);
  }
}

TEST(task_call, a_null_function_is_refused_by_the_sender) {
  int (*none)(int, int) = nullptr;
  EXPECT_THROW(packed(none, 1, 2), codec_error);
}

TEST(partial_function, binds_leading_arguments) {
  EXPECT_EQ(call(partial(add, 40), 2), 42);
  EXPECT_EQ(call(partial(add, 40, 2)), 42);
  EXPECT_EQ(call(partial(greet, "you")), "hello, you");
  const std::vector<double> values{1, 2};
  EXPECT_EQ(call(partial(sum, std::span<const double>(values))), 3);
  EXPECT_EQ(partial(add, 40)(2), 42);  // and here as well
}

TEST(partial_function, a_partial_of_a_partial_takes_a_view_as_last_argument) {
  const auto f = [](int a, std::string b, std::string_view c) {
    return std::to_string(a) + b + std::string(c);
  };
  EXPECT_EQ(call(partial(partial(f, 1), "b"), "c"), "1bc");
}

TEST(partial_function, bound_values_do_not_follow_the_caller) {
  std::string name = "before";
  const auto bound = partial(greet, name);
  name = "after";
  EXPECT_EQ(bound(), "hello, before");
}

int runs = 0;
void run_once() { ++runs; }
void run_often(int times) { runs += times; }

TEST(invocation_value, holds_any_task_without_arguments) {
  runs = 0;
  invocation task = run_once;
  EXPECT_TRUE(static_cast<bool>(task));
  task();
  task = partial(run_often, 10);
  const invocation copy = task;
  task();
  copy();
  task = [] {
    ++runs;
    return std::string("dropped");
  };
  task();
  EXPECT_EQ(runs, 22);
}

TEST(invocation_value, an_empty_invocation_does_nothing) {
  const invocation nothing;
  EXPECT_FALSE(static_cast<bool>(nothing));
  nothing();
}

TEST(invocation_value, travels_and_is_a_task_itself) {
  runs = 0;
  const invocation task = partial(run_often, 5);
  procpool::tests::round_trip(task)();
  call(task);
  EXPECT_EQ(runs, 10);
  EXPECT_FALSE(static_cast<bool>(procpool::tests::round_trip(invocation())));
}

}  // namespace
