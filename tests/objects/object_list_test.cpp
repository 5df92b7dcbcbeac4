#include "objects/object_list.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/errors.hpp"

namespace procpool::wire {
namespace {

using detail::object_ref;

TEST(object_list_test, a_list_is_found_after_a_value_of_any_length) {
  for (std::size_t length = 0; length < 20; ++length) {
    detail::heap_writer out;
    out.extend(length);
    const std::vector<object_ref> refs{{1, 2}, {3, 4}, {1, 2}};
    append_objects(out, refs);
    const object_list list(out.data(), out.size());
    EXPECT_EQ(list.value_size(), length);
    ASSERT_EQ(list.count(), 3U);
    for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(list.at(i), refs[i]);
  }
}

TEST(object_list_test, a_truncated_or_forged_list_is_an_error) {
  detail::heap_writer out;
  append_objects(out, std::vector<object_ref>{{1, 2}});
  for (std::size_t n = 0; n < 4; ++n) EXPECT_THROW(object_list(out.data(), n), codec_error);
  EXPECT_THROW(object_list(out.data() + 1, out.size() - 1), codec_error);
  EXPECT_THROW(object_list(out.data() + 8, 4), codec_error);
}

}  // namespace
}  // namespace procpool::wire
