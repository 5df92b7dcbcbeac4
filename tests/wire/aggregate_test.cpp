// Structs travel without a line of code: whatever their members, arrays included.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "procpool/codec.hpp"
#include "support/round_trip.hpp"

namespace {

using procpool::encodable;
using procpool::detail::member_count;
using procpool::detail::member_types;
using procpool::detail::type_list;
using procpool::detail::unknown_members;
using procpool::tests::encoded;
using procpool::tests::expect_truncations_fail;
using procpool::tests::round_trip;

template <class T>
inline constexpr bool is_bytes = procpool::detail::wire<T>::is_bytes;

struct empty {
  bool operator==(const empty&) const = default;
};
struct point {
  int x;
  double y;
  bool operator==(const point&) const = default;
};
struct flags {
  bool a;
  bool more[3];
  std::array<bool, 2> rest;
  bool operator==(const flags&) const = default;
};
struct record {
  std::string name;
  int matrix[2][3];
  std::vector<point> path;
  std::optional<point> origin;
  std::map<std::string, int> tags;
  empty nothing;
  bool operator==(const record&) const = default;
};
struct tree {
  int value;
  std::vector<tree> children;
  bool operator==(const tree&) const = default;
};
struct fields {
  unsigned low : 3;
  unsigned high : 5;
  bool flag : 1;
  bool operator==(const fields&) const = default;
};
struct constant {
  const int number;
  const std::string text;
  bool operator==(const constant&) const = default;
};
struct defaulted {
  int a = 3;
  std::string b = "b";
  bool operator==(const defaulted&) const = default;
};
struct buffer {
  std::string name;
  char bytes[5000];
  bool operator==(const buffer&) const = default;
};

// Without a default constructor, but with a codec.
class handle {
 public:
  explicit handle(int number) : number_(number) {}
  int number() const { return number_; }
  bool operator==(const handle&) const = default;

 private:
  int number_;
};
struct holder {
  handle first;
  handle several[2];
  std::string text;
  bool operator==(const holder&) const = default;
};
struct late_default {
  handle first = handle(1);
  int second = 2;
  bool operator==(const late_default&) const = default;
};

struct base {
  int x;
};
struct derived : base {
  int y;
};
struct with_reference {
  int& target;
  int other;
};
struct with_pointer {
  int a;
  const char* text;
};
struct with_view {
  std::string_view text;
};
struct deep {
  std::vector<std::map<int, with_pointer>> inside;
};
union either {
  int a;
  float b;
};
struct many {
  int a1, a2, a3, a4, a5, a6, a7, a8, b1, b2, b3, b4, b5, b6, b7, b8;
  int c1, c2, c3, c4, c5, c6, c7, c8, d1, d2, d3, d4, d5, d6, d7, d8;
  int e1, e2, e3, e4, e5, e6, e7, e8, f1, f2, f3, f4, f5, f6, f7, f8;
  int g1, g2, g3, g4, g5, g6, g7, g8, h1, h2, h3, h4, h5, h6, h7;
  std::string last;
  bool operator==(const many&) const = default;
};

}  // namespace

template <>
struct procpool::codec<handle> {
  static int to_wire(const handle& h) { return h.number(); }
  static handle from_wire(int number) { return handle(number); }
};

namespace {

static_assert(member_count<empty> == 0);
static_assert(member_count<record> == 6);
static_assert(member_count<fields> == 3);
static_assert(member_count<buffer> == 2);
static_assert(member_count<holder> == 3);
static_assert(member_count<late_default> == 2);
static_assert(member_count<with_reference> == 2);
static_assert(member_count<many> == 64);
static_assert(member_count<derived> == unknown_members);
static_assert(std::is_same_v<member_types<with_reference>, type_list<int&, int>>);

static_assert(is_bytes<point> && is_bytes<fields> && is_bytes<flags>);
static_assert(!is_bytes<record> && !is_bytes<handle>);

static_assert(encodable<record> && encodable<tree> && encodable<holder>);
static_assert(!encodable<derived> && !encodable<with_reference> && !encodable<either>);
static_assert(!encodable<with_pointer> && !encodable<with_view> && !encodable<deep>);
static_assert(!encodable<std::vector<int*>> && !encodable<std::unique_ptr<int[]>>);

template <class T>
void expect_travels(const T& value) {
  EXPECT_EQ(round_trip(value), value);
  expect_truncations_fail<T>(encoded(value));
}

TEST(aggregate, plain_members_are_encoded_as_their_bytes) {
  expect_travels(point{1, 2.5});
  expect_travels(fields{5, 17, true});
  expect_travels(empty{});
  EXPECT_EQ(encoded(point{1, 2.5}).size(), sizeof(point));
}

TEST(aggregate, an_aggregate_with_bools) {
  expect_travels(flags{true, {false, true, true}, {true, false}});
  expect_travels(std::vector<flags>(3, flags{true, {false, true, true}, {true, false}}));
}

TEST(aggregate, an_aggregate_of_all_kinds_of_members) {
  expect_travels(
      record{"r", {{1, 2, 3}, {4, 5, 6}}, {{1, 2}, {3, 4}}, point{5, 6}, {{"a", 1}}, {}});
  expect_travels(constant{5, "five"});
  expect_travels(defaulted{});
  expect_travels(std::vector<defaulted>{{1, "x"}, {2, "y"}});
}

TEST(aggregate, an_aggregate_that_contains_itself) {
  expect_travels(tree{1, {{2, {}}, {3, {{4, {}}}}}});
}

TEST(aggregate, an_aggregate_of_64_members) {
  many value{};
  value.a1 = 1;
  value.h7 = 63;
  value.last = "the end";
  expect_travels(value);
}

TEST(aggregate, an_aggregate_with_a_large_array) {
  buffer value{"b", {}};
  value.bytes[4999] = 'z';
  EXPECT_EQ(round_trip(value), value);
}

TEST(aggregate, an_aggregate_of_members_without_default_constructor) {
  expect_travels(holder{handle(1), {handle(2), handle(3)}, "text"});
  expect_travels(late_default{handle(4), 5});
}

TEST(aggregate, a_failed_decoding_destroys_the_members_decoded_before) {
  // Under AddressSanitizer this shows a leak of the first members.
  const auto whole = encoded(std::vector<record>(
      2, record{std::string(100, 'x'), {}, {{1, 2}}, {}, {{std::string(100, 'y'), 1}}, {}}));
  expect_truncations_fail<std::vector<record>>(whole);
}

}  // namespace
