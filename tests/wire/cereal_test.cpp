// Types with cereal functions, through the adapter.
#include "procpool/cereal.hpp"

#include <gtest/gtest.h>

#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/round_trip.hpp"

namespace {

class board {
 public:
  board() = default;
  board(std::string name, std::vector<int> cells)
      : name_(std::move(name)), cells_(std::move(cells)) {
    scores_[name_] = 1.5;
  }
  friend bool operator==(const board&, const board&) = default;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::make_nvp("name", name_), cells_, scores_, active_);
  }

 private:
  std::string name_;
  std::vector<int> cells_;
  std::map<std::string, double> scores_;
  bool active_ = true;
};

// save and load, and recursive.
struct chain {
  int value = 0;
  std::unique_ptr<chain> next;

  template <class Archive>
  void save(Archive& archive) const {
    archive(value, next);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value, next);
  }
};

}  // namespace

template <>
struct procpool::codec<board> : procpool::cereal_codec<board> {};
template <>
struct procpool::codec<chain> : procpool::cereal_codec<chain> {};

namespace {

using procpool::tests::encoded;
using procpool::tests::round_trip;

TEST(cereal, round_trip) {
  const board original("alpha", {1, 2, 3});
  EXPECT_EQ(round_trip(original), original);
}

TEST(cereal, cereal_types_inside_other_types) {
  const std::vector<board> boards{board("a", {}), board("b", {4})};
  EXPECT_EQ(round_trip(boards), boards);
}

TEST(cereal, every_truncation_fails) {
  procpool::tests::expect_truncations_fail<board>(encoded(board("alpha", {1, 2, 3})));
}

TEST(cereal, owning_pointers) {
  chain original{1, std::make_unique<chain>(chain{2, nullptr})};
  const chain copy = round_trip(original);
  ASSERT_NE(copy.next, nullptr);
  EXPECT_EQ(copy.next->value, 2);
}

TEST(cereal, forged_size_fails_before_memory_is_taken) {
  procpool::detail::heap_writer writer;
  const std::size_t forged = std::size_t{1} << 60U;
  writer.write_value(forged);  // the length of the name
  const std::vector<std::byte> bytes(writer.data(), writer.data() + writer.size());
  EXPECT_THROW(procpool::codec<board>::from_wire(std::vector<std::byte>(bytes)),
               procpool::codec_error);
}

TEST(cereal, endless_nesting_fails) {
  procpool::detail::heap_writer writer;
  for (int i = 0; i < 100'000; ++i) {
    writer.write_value(i);
    writer.write_value(std::uint8_t{1});
  }
  std::vector<std::byte> bytes(writer.data(), writer.data() + writer.size());
  EXPECT_THROW(procpool::codec<chain>::from_wire(std::move(bytes)), procpool::codec_error);
}

}  // namespace
