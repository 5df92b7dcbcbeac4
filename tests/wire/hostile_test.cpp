// Bytes that no encoder wrote. They fail with codec_error, before memory is taken for what they
// claim, and without an invalid object ever existing.
#include <gtest/gtest.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "procpool/codec.hpp"
#include "support/round_trip.hpp"

namespace {

using procpool::codec_error;
using procpool::detail::heap_writer;
using procpool::detail::max_nesting;
using procpool::detail::wire_buffer;
using procpool::detail::wire_reader;
using procpool::tests::decoded;
using procpool::tests::encoded;
using procpool::tests::round_trip;

wire_buffer bytes_of(std::initializer_list<int> values) {
  heap_writer writer;
  for (const int value : values) {
    writer.write_value(static_cast<unsigned char>(value));
  }
  return writer.take();
}

// A length of nine bytes, and a little to follow.
wire_buffer claim(std::uint64_t length, std::size_t following = 16) {
  heap_writer writer;
  writer.write_value(procpool::detail::long_length);
  writer.write_value(length);
  for (std::size_t i = 0; i < following; ++i) {
    writer.write_value(std::byte{1});
  }
  return writer.take();
}

template <class T>
void expect_claims_fail() {
  for (const std::uint64_t n : {std::uint64_t{17}, std::uint64_t{1} << 32U, std::uint64_t{1} << 60U,
                                ~std::uint64_t{0}, ~std::uint64_t{0} / sizeof(int) + 2}) {
    EXPECT_THROW(decoded<T>(claim(n)), codec_error) << n;
  }
}

struct link {
  std::unique_ptr<link> next;
};
struct tree {
  std::vector<tree> children;
};
struct flagged {
  int number;
  bool flag;
};

TEST(hostile, impossible_lengths) {
  expect_claims_fail<std::string>();
  expect_claims_fail<std::vector<char>>();
  expect_claims_fail<std::vector<int>>();
  expect_claims_fail<std::vector<std::string>>();
  expect_claims_fail<std::map<int, int>>();
  expect_claims_fail<std::vector<std::array<std::string, 1000>>>();
}

TEST(hostile, lengths_of_bits) {
  for (const std::size_t n : {std::size_t{9}, std::size_t{1} << 40U, ~std::size_t{0}}) {
    heap_writer writer;
    writer.write_value(n);
    writer.write_value(std::byte{1});
    EXPECT_THROW(decoded<std::vector<bool>>(writer.take()), codec_error) << n;
  }
}

TEST(hostile, a_count_takes_no_memory_that_its_bytes_do_not_justify) {
  // 200 elements of 100,000 bytes each are claimed, and the bytes hold 10 of them, all empty.
  using large = std::optional<std::array<char, 100'000>>;
  EXPECT_THROW(decoded<std::vector<large>>(bytes_of({200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})),
               codec_error);
}

TEST(hostile, bools) {
  EXPECT_THROW(decoded<bool>(bytes_of({2})), codec_error);
  EXPECT_THROW(decoded<std::optional<int>>(bytes_of({255, 0, 0, 0, 0})), codec_error);
  EXPECT_THROW(decoded<std::unique_ptr<int>>(bytes_of({2, 0, 0, 0, 0})), codec_error);
  EXPECT_THROW((decoded<std::array<bool, 3>>(bytes_of({1, 0, 7}))), codec_error);
}

TEST(hostile, bools_inside_of_what_is_copied_as_bytes) {
  flagged value{1, true};
  unsigned char image[sizeof(flagged)];
  std::memcpy(image, &value, sizeof image);
  image[offsetof(flagged, flag)] = 3;
  heap_writer one;
  one.write(image, sizeof image);
  EXPECT_THROW(decoded<flagged>(one.take()), codec_error);
  heap_writer several;
  several.write_length(1);
  several.align(alignof(flagged));
  several.write(image, sizeof image);
  EXPECT_THROW(decoded<std::vector<flagged>>(several.take()), codec_error);
}

TEST(hostile, alternatives_that_do_not_exist) {
  using either = std::variant<int, std::string>;
  EXPECT_THROW(decoded<either>(bytes_of({2, 0, 0, 0, 0})), codec_error);
  EXPECT_THROW(decoded<either>(bytes_of({255, 0, 0, 0, 0})), codec_error);
}

TEST(hostile, bits_after_the_last_bit) {
  heap_writer writer;
  writer.write_value(~std::uint64_t{0});
  const auto bits = decoded<std::bitset<3>>(writer.take());
  EXPECT_EQ(bits.count(), 3U);
  EXPECT_EQ(bits, std::bitset<3>(7));
}

TEST(hostile, bytes_left_over) {
  heap_writer writer;
  procpool::detail::encode(writer, 1);
  procpool::detail::encode(writer, 'x');
  const auto bytes = writer.take();
  EXPECT_THROW(decoded<int>(bytes), codec_error);
}

TEST(hostile, endless_nesting_ends) {
  std::vector<std::byte> ones(1'000'000, std::byte{1});
  wire_reader pointers(ones.data(), ones.size());
  EXPECT_THROW(procpool::detail::decode<link>(pointers), codec_error);
  wire_reader vectors(ones.data(), ones.size());
  EXPECT_THROW(procpool::detail::decode<tree>(vectors), codec_error);
}

link chain_of(int length) {
  link first;
  for (int i = 0; i < length; ++i) {
    first = link{std::make_unique<link>(std::move(first))};
  }
  return first;
}

TEST(hostile, nesting_is_limited_on_both_sides_alike) {
  // The last pointer is null, and a level as well.
  EXPECT_NO_THROW(round_trip(chain_of(max_nesting - 1)));
  EXPECT_THROW(encoded(chain_of(max_nesting)), codec_error);
}

TEST(hostile, cycles_are_refused_by_the_sender) {
  struct ring {
    std::shared_ptr<ring> next;
  };
  ring r{std::make_shared<ring>()};
  r.next->next = r.next;
  EXPECT_THROW(encoded(r), codec_error);
  r.next->next = nullptr;
}

TEST(hostile, the_message_says_what_is_missing) {
  try {
    decoded<double>(bytes_of({1, 2, 3}));
    FAIL() << "three bytes are not a double";
  } catch (const codec_error& e) {
    EXPECT_NE(std::string(e.what()).find("8 bytes"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("5 are missing"), std::string::npos) << e.what();
  }
}

TEST(hostile, runs_are_not_read_through_misaligned_pointers) {
  alignas(8) std::byte memory[32] = {};
  memory[1] = std::byte{1};  // a vector of one element, begun at an odd address
  wire_reader reader(memory + 1, 24);
  EXPECT_THROW(procpool::detail::decode<std::vector<double>>(reader), codec_error);
}

}  // namespace
