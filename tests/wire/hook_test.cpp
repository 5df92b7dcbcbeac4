// procpool::codec and procpool::enable_bytes: what classes say for themselves.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "procpool/codec.hpp"
#include "support/round_trip.hpp"

namespace {

class account {
 public:
  account(std::string owner, long balance) : owner_(std::move(owner)), balance_(balance) {}
  const std::string& owner() const { return owner_; }
  const long& balance() const { return balance_; }
  bool operator==(const account&) const = default;

 private:
  std::string owner_;
  long balance_;
};

// to_wire with views, which arrive as values.
class signal_trace {
 public:
  signal_trace(std::string name, std::vector<double> samples)
      : name_(std::move(name)), samples_(std::move(samples)) {}
  std::string_view name() const { return name_; }
  std::span<const double> samples() const { return samples_; }
  bool operator==(const signal_trace&) const = default;

 private:
  std::string name_;
  std::vector<double> samples_;
};

class counted {
 public:
  explicit counted(int v) : value(v) {}
  int value;
  static inline int encodings = 0;
};

class vec3 {
 public:
  vec3(float x, float y, float z) : v_{x, y, z} {}
  bool operator==(const vec3&) const = default;

 private:
  std::array<float, 3> v_;
};

class plain {  // trivially copyable, but not declared to be its bytes
 public:
  explicit plain(int v) : value_(v) {}
  int value() const { return value_; }

 private:
  int value_;
};

struct shape {
  virtual ~shape() = default;
  int id = 0;
};
struct circle : shape {
  int radius = 0;
};

}  // namespace

template <>
struct procpool::codec<account> {
  static auto to_wire(const account& a) { return std::tie(a.owner(), a.balance()); }
  static account from_wire(std::tuple<std::string, long>&& wire) {
    return {std::move(std::get<0>(wire)), std::get<1>(wire)};
  }
};
template <>
struct procpool::codec<signal_trace> {
  static auto to_wire(const signal_trace& t) { return std::pair(t.name(), t.samples()); }
  static signal_trace from_wire(std::pair<std::string, std::vector<double>>&& wire) {
    return {std::move(wire.first), std::move(wire.second)};
  }
};
template <>
struct procpool::codec<counted> {
  static std::string to_wire(const counted& c) {
    ++counted::encodings;
    return std::to_string(c.value);
  }
  static counted from_wire(std::string&& text) { return counted(std::stoi(text)); }
};
template <>
inline constexpr bool procpool::enable_bytes<vec3> = true;
template <>
struct procpool::codec<shape> {
  static int to_wire(const shape& s) { return s.id; }
  static shape from_wire(int id) {
    shape s;
    s.id = id;
    return s;
  }
};

namespace {

using procpool::tests::decoded;
using procpool::tests::encoded;
using procpool::tests::expect_truncations_fail;
using procpool::tests::round_trip;

static_assert(procpool::encodable<account> && procpool::encodable<vec3>);
static_assert(!procpool::encodable<plain>);
static_assert(!procpool::encodable<circle>);

TEST(hook, references_and_views_arrive_as_values) {
  const account a("alice", 100);
  EXPECT_EQ(round_trip(a), a);
  expect_truncations_fail<account>(encoded(a));
  const signal_trace t("ecg", {1, 2, 3});
  EXPECT_EQ(round_trip(t), t);
  expect_truncations_fail<signal_trace>(encoded(t));
}

TEST(hook, inside_containers_and_aggregates) {
  struct branch {
    int number;
    std::vector<account> accounts;
    bool operator==(const branch&) const = default;
  };
  const branch b{1, {account("a", 1), account("b", 2)}};
  EXPECT_EQ(round_trip(b), b);
}

TEST(hook, to_wire_is_called_once) {
  counted::encodings = 0;
  EXPECT_EQ(round_trip(counted(42)).value, 42);
  EXPECT_EQ(counted::encodings, 1);
}

TEST(hook, an_error_of_from_wire_reaches_the_caller) {
  procpool::detail::heap_writer writer;
  procpool::detail::encode(writer, std::string("not a number"));
  const auto bytes = writer.take();
  EXPECT_THROW(decoded<counted>(bytes), std::invalid_argument);
}

TEST(hook, enable_bytes_copies_the_object) {
  const std::vector<vec3> points{{1, 2, 3}, {4, 5, 6}};
  EXPECT_EQ(round_trip(points), points);
  EXPECT_EQ(encoded(vec3(1, 2, 3)).size(), sizeof(vec3));
}

TEST(hook, a_derived_object_is_not_cut_down_to_its_base) {
  std::unique_ptr<shape> object = std::make_unique<shape>();
  object->id = 7;
  EXPECT_EQ(round_trip(object)->id, 7);
  object = std::make_unique<circle>();
  EXPECT_THROW(encoded(object), procpool::codec_error);
}

}  // namespace
