// The reader of a chunk's outcomes, with bytes as a worker writes them and with damaged bytes.
#include "wire/chunk_outcomes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "procpool/errors.hpp"

namespace {

using namespace procpool;
using detail::outcome_kind;
using wire::chunk_part;
using wire::chunk_reader;

using words = std::vector<std::uint64_t>;

// Kind, count, place and size of each part; place -1 at the end if the rest is damaged.
using parts = std::vector<std::tuple<outcome_kind, std::uint32_t, std::ptrdiff_t, std::size_t>>;
const auto damaged = std::tuple(outcome_kind::none, 0U, std::ptrdiff_t{-1}, std::size_t{0});

parts read_all(const words& bytes, std::uint32_t items) {
  parts all;
  const auto* const data = reinterpret_cast<const std::byte*>(bytes.data());
  chunk_reader in(data, bytes.size() * 8, items);
  try {
    for (chunk_part p; in.next(p);) all.emplace_back(p.kind, p.count, p.data - data, p.size);
  } catch (const codec_error& e) {
    EXPECT_STREQ(e.what(), wire::damaged_text);
    all.push_back(damaged);
  }
  return all;
}

TEST(chunk_outcomes_test, records_and_their_padding) {
  const words bytes = {detail::record_header(outcome_kind::value, 3),
                       0,
                       detail::record_header(outcome_kind::exception, 9),
                       0,
                       0,
                       detail::record_header(outcome_kind::value_with_objects, 8),
                       0};
  EXPECT_EQ(read_all(bytes, 3), (parts{{outcome_kind::value, 1, 8, 3},
                                       {outcome_kind::exception, 1, 24, 9},
                                       {outcome_kind::value_with_objects, 1, 48, 8}}));
}

TEST(chunk_outcomes_test, a_run_and_the_records_after_it) {
  const words bytes = {detail::run_header(2, 4), 0,
                       detail::record_header(outcome_kind::exception, 0)};
  EXPECT_EQ(read_all(bytes, 3),
            (parts{{outcome_kind::value, 2, 8, 4}, {outcome_kind::exception, 1, 24, 0}}));
}

TEST(chunk_outcomes_test, a_run_that_still_grows_has_all_items) {
  EXPECT_EQ(read_all({detail::run_header(0, 8), 1, 2}, 2), (parts{{outcome_kind::value, 2, 8, 8}}));
  EXPECT_EQ(read_all({detail::run_header(0, 0)}, 70'000),
            (parts{{outcome_kind::value, 70'000, 8, 0}}));
}

TEST(chunk_outcomes_test, no_items_are_no_parts) {
  EXPECT_EQ(read_all({}, 0), parts{});
  EXPECT_EQ(read_all({~std::uint64_t{0}}, 0), parts{});
}

TEST(chunk_outcomes_test, damaged_headers) {
  const std::uint64_t value = detail::record_header(outcome_kind::value, 8);
  const words headers = {
      0,
      detail::record_header(outcome_kind::none, 0),
      detail::record_header(outcome_kind::no_room, 0),
      detail::record_header(static_cast<outcome_kind>(6), 0),
      detail::record_header(static_cast<outcome_kind>(0xff), 0),
      detail::record_header(outcome_kind::value, 9),
      detail::record_header(outcome_kind::exception, (std::size_t{1} << 56U) - 1),
      detail::run_header(3, 1),
      detail::run_header(2, 5),
      detail::run_header(0, 5),
      detail::run_header(~std::uint32_t{0}, 0),
      detail::run_header(~std::uint32_t{0}, detail::largest_in_run),
      ~std::uint64_t{0},
  };
  for (const std::uint64_t header : headers) {
    EXPECT_EQ(read_all({value, 0, header, 0}, 3), (parts{{outcome_kind::value, 1, 8, 8}, damaged}))
        << std::hex << header;
  }
}

TEST(chunk_outcomes_test, bytes_that_end_too_early) {
  const std::uint64_t value = detail::record_header(outcome_kind::value, 8);
  EXPECT_EQ(read_all({}, 1), parts{damaged});
  EXPECT_EQ(read_all({value}, 1), parts{damaged});
  EXPECT_EQ(read_all({value, 0}, 2), (parts{{outcome_kind::value, 1, 8, 8}, damaged}));
  EXPECT_EQ(read_all({detail::run_header(2, 8), 0, 0}, 3),
            (parts{{outcome_kind::value, 2, 8, 8}, damaged}));
}

}  // namespace
