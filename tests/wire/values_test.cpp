// Every type that travels without help: a round trip gives the same value, and no prefix of its
// bytes is taken for it.
#include <gtest/gtest.h>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "procpool/codec.hpp"
#include "support/round_trip.hpp"

namespace {

using procpool::tests::decoded;
using procpool::tests::encoded;
using procpool::tests::expect_truncations_fail;
using procpool::tests::round_trip;

template <class T>
void expect_travels(const T& value) {
  static_assert(procpool::encodable<T>);
  EXPECT_EQ(round_trip(value), value);
  expect_truncations_fail<T>(encoded(value));
}

enum class colour : std::uint8_t { red, green = 200 };

TEST(values, arithmetic) {
  expect_travels(std::numeric_limits<int>::min());
  expect_travels(std::numeric_limits<std::uint64_t>::max());
  expect_travels('x');
  expect_travels(true);
  expect_travels(false);
  expect_travels(1.5F);
  expect_travels(-0.25);
  expect_travels(std::byte{7});
  expect_travels(colour::green);
}

TEST(values, text) {
  expect_travels(std::string());
  expect_travels(std::string("short"));
  expect_travels(std::string(254, 'a'));
  expect_travels(std::string(255, 'b'));  // from here the length takes nine bytes
  expect_travels(std::string("with\0zero", 9));
  expect_travels(std::u16string(u"wide"));
  expect_travels(std::filesystem::path("/some/where"));
}

TEST(values, vectors) {
  expect_travels(std::vector<int>());
  expect_travels(std::vector<int>{1, 2, 3});
  expect_travels(std::vector<char>(300, 'c'));
  expect_travels(std::vector<std::string>{"a", "", "ccc"});
  expect_travels(std::vector<std::vector<double>>{{1.0}, {}, {2.0, 3.0}});
  expect_travels(std::vector<bool>());
  expect_travels(std::vector<bool>{true, false, true, true, false, false, false, true, true});
  expect_travels(std::vector<std::optional<int>>{1, std::nullopt});
}

TEST(values, elements_that_want_more_than_8_byte_alignment) {
  expect_travels(std::vector<long double>{1.0L, 2.0L, 3.0L});
  struct alignas(32) wide {
    double v[4];
    bool operator==(const wide&) const = default;
  };
  expect_travels(std::vector<wide>{{{1, 2, 3, 4}}, {{5, 6, 7, 8}}});
}

TEST(values, arrays_pairs_tuples) {
  expect_travels(std::array<int, 3>{1, 2, 3});
  expect_travels(std::array<std::string, 2>{"x", "y"});
  expect_travels(std::array<bool, 2>{true, false});
  expect_travels(std::array<int, 0>{});
  expect_travels(std::array<std::string, 100>{"first"});
  expect_travels(std::pair<int, std::string>{1, "one"});
  expect_travels(std::tuple<>{});
  expect_travels(std::tuple<int, std::string, bool>{1, "one", true});
}

TEST(values, node_containers) {
  expect_travels(std::deque<std::string>{"a", "b"});
  expect_travels(std::list<int>{1, 2});
  expect_travels(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  expect_travels(std::multimap<int, int>{{1, 2}, {1, 3}});
  expect_travels(std::set<std::string>{"a", "b"});
  expect_travels(std::multiset<int>{1, 1, 2});
  expect_travels(std::unordered_map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_travels(std::unordered_set<int>{1, 2, 3});
  expect_travels(std::unordered_multimap<int, int>{{1, 1}, {1, 2}});
  expect_travels(std::unordered_multiset<int>{1, 1});
}

TEST(values, optional_and_variant) {
  expect_travels(std::optional<std::string>("x"));
  expect_travels(std::optional<std::string>());
  expect_travels(std::variant<int, std::string>(5));
  expect_travels(std::variant<int, std::string>("text"));
  expect_travels(std::variant<std::monostate, int>());
}

TEST(values, a_valueless_variant_is_refused) {
  struct thrower {
    operator std::list<int>() const { throw 1; }
  };
  std::variant<std::list<int>, std::string> value("x");
  EXPECT_THROW(value.emplace<0>(thrower()), int);
  ASSERT_TRUE(value.valueless_by_exception());
  EXPECT_THROW(encoded(value), procpool::codec_error);
}

TEST(values, numbers_of_the_standard_library) {
  using namespace std::chrono_literals;
  expect_travels(5ms);
  expect_travels(std::chrono::duration<double>(0.5));
  expect_travels(std::chrono::system_clock::now());
  expect_travels(std::chrono::steady_clock::now());
  expect_travels(std::complex<double>(1, -2));
  expect_travels(std::bitset<3>(5));
  expect_travels(std::bitset<130>(0x1234));
}

TEST(values, owning_pointers) {
  const auto unique = round_trip(std::make_unique<std::string>("held"));
  ASSERT_NE(unique, nullptr);
  EXPECT_EQ(*unique, "held");
  EXPECT_EQ(round_trip(std::unique_ptr<int>()), nullptr);
  const auto shared = round_trip(std::make_shared<const std::vector<int>>(3, 7));
  ASSERT_NE(shared, nullptr);
  EXPECT_EQ(*shared, std::vector<int>(3, 7));
  expect_truncations_fail<std::unique_ptr<std::string>>(encoded(unique));
}

TEST(values, containers_of_move_only_values) {
  std::vector<std::unique_ptr<int>> numbers;
  numbers.push_back(std::make_unique<int>(1));
  numbers.push_back(nullptr);
  const auto copy = round_trip(numbers);
  ASSERT_EQ(copy.size(), 2U);
  EXPECT_EQ(*copy[0], 1);
  EXPECT_EQ(copy[1], nullptr);
  std::map<int, std::unique_ptr<int>> named;
  named.emplace(4, std::make_unique<int>(5));
  EXPECT_EQ(*round_trip(named).at(4), 5);
}

TEST(values, two_values_in_a_row_do_not_disturb_each_other) {
  procpool::detail::heap_writer writer;
  procpool::detail::encode(writer, std::string("odd"));
  procpool::detail::encode(writer, std::vector<double>{1, 2});
  procpool::detail::encode(writer, 'c');
  const auto bytes = writer.take();
  procpool::detail::wire_reader reader(bytes.data(), bytes.size());
  EXPECT_EQ(procpool::detail::decode<std::string>(reader), "odd");
  EXPECT_EQ(procpool::detail::decode<std::vector<double>>(reader), (std::vector<double>{1, 2}));
  EXPECT_EQ(procpool::detail::decode<char>(reader), 'c');
  reader.expect_end();
}

}  // namespace
