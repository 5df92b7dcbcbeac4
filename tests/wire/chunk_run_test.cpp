// The outcomes of a chunk where memory runs out in the middle and is there again later: each item
// keeps its own.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <stdexcept>
#include <system_error>

#include "procpool/detail/task/thunks.hpp"
#include "wire/chunk_outcomes.hpp"
#include "wire/exception_codec.hpp"

namespace {

using namespace procpool;
using namespace procpool::detail;

struct block_of_numbers {
  int first;
  char rest[1020];
};

// Full after four outcomes; the next request for more fails, and later requests do not.
class short_of_room : public chunk_run {
 public:
  explicit short_of_room(std::uint32_t items)
      : chunk_run(small_, small_ + sizeof small_, &grow, &write_exception, nullptr, nullptr) {
    count_ = items;
    begun_ = &begun_counter_;
    progress_ = &progress_counter_;
  }
  std::map<int, std::string> outcomes() const {
    const std::uint64_t p = progress_counter_.load();
    std::map<int, std::string> all;
    int item = 0;
    procpool::wire::chunk_reader in(begin_, std::size_t{progress_units(p)} * 8,
                                    progress_finished(p));
    for (procpool::wire::chunk_part part; in.next(part);) {
      for (std::uint32_t i = 0; i < part.count; ++i) all[item++] = text_of(part, i);
    }
    return all;
  }

 private:
  static void grow(wire_writer& base, std::size_t) {
    auto& self = static_cast<short_of_room&>(base);
    if (!self.failed_) {
      self.failed_ = true;
      throw std::system_error(ENOSPC, std::generic_category());
    }
    const std::size_t used = self.size();
    std::memcpy(self.large_, self.begin_, used);
    self.begin_ = self.large_;
    self.cur_ = self.large_ + used;
    self.end_ = self.large_ + sizeof self.large_;
  }
  static void write_exception(chunk_run& run) {
    procpool::wire::encode_exception(run, std::current_exception(),
                                     procpool::wire::origin::here(0));
  }
  static std::string text_of(const procpool::wire::chunk_part& part, std::uint32_t i) {
    if (part.kind == outcome_kind::exception) return "error";
    block_of_numbers b{};
    if (part.size != sizeof b) return "damaged";
    std::memcpy(&b, part.data + i * sizeof b, sizeof b);
    return std::to_string(b.first);
  }

  bool failed_ = false;
  std::atomic<std::uint32_t> begun_counter_{0};
  std::atomic<std::uint64_t> progress_counter_{0};
  alignas(64) std::byte small_[4032];
  alignas(64) std::byte large_[65536];
};

std::map<int, std::string> run_items(bool first_throws) {
  const auto f = [](int x) {
    if (x < 0) throw std::runtime_error("below zero");
    block_of_numbers b{};
    b.first = x;
    return b;
  };
  const int items[8] = {first_throws ? -1 : 0, 1, 2, 3, 4, 5, 6, 7};
  wire_reader in(reinterpret_cast<const std::byte*>(items), sizeof items);
  short_of_room run(8);
  thunks<decltype(f), const int&>::run_chunk(in, run);
  return run.outcomes();
}

TEST(chunk_run_test, no_room_in_a_run_costs_one_item) {
  const std::map<int, std::string> expected = {{0, "0"}, {1, "1"}, {2, "2"}, {3, "error"},
                                               {4, "4"}, {5, "5"}, {6, "6"}, {7, "7"}};
  EXPECT_EQ(run_items(false), expected);
}

TEST(chunk_run_test, no_room_after_a_run_costs_one_item) {
  const std::map<int, std::string> all = run_items(true);
  ASSERT_EQ(all.size(), 8U);
  int errors = 0;
  for (const auto& [item, text] : all) {
    if (text == "error") {
      ++errors;
    } else {
      EXPECT_EQ(text, std::to_string(item));
    }
  }
  EXPECT_EQ(all.at(0), "error");
  EXPECT_EQ(errors, 2);
}

}  // namespace
