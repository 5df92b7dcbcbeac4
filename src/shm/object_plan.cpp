#include "shm/object_plan.hpp"

#include <algorithm>
#include <bit>

#include "os/mapping.hpp"
#include "shm/process_page.hpp"

namespace procpool::shm {
namespace {

constexpr u32 usual_ids = 16384, least_ids = 64;
constexpr u32 usual_rows = 8192, least_rows = 1024;
constexpr u64 usual_stride = u64{1} << 40U;
constexpr u64 range_alignment = u64{2} << 20U;  // of huge pages

constexpr u64 round_up(u64 v, u64 to) { return (v + to - 1) / to * to; }

}  // namespace

object_plan object_plan::of(u32 ids, u32 rows, u64 stride) {
  const u64 page = os::page_size();
  object_plan p;
  p.ids = ids;
  p.rows = rows;
  p.stride = stride;
  p.entries_offset = round_up(sizeof(process_page), page);
  p.heads_offset = p.entries_offset + round_up(u64{ids} * sizeof(object_entry), page);
  p.fixed_bytes = p.heads_offset + round_up(u64{rows} * sizeof(row_head), page);
  p.counts_offset = p.fixed_bytes;
  p.row_stride = round_up(u64{ids} * sizeof(u32), page);
  p.ranges_offset = p.counts_offset + rows * p.row_stride;
  if (ids != 0) p.ranges_offset = round_up(p.ranges_offset, range_alignment);
  p.file_size = p.ranges_offset + ids * stride;
  return p;
}

// A file size limit (ulimit -f) applies to offsets, not to allocated bytes: under a limit there are
// fewer and smaller ranges.
object_plan object_plan::make(u64 file_size_limit) {
  const object_plan usual = of(usual_ids, usual_rows, usual_stride);
  if (file_size_limit >= usual.file_size) return usual;
  const u32 ids = std::clamp<u32>(static_cast<u32>(std::bit_floor(file_size_limit >> 32U)),
                                  least_ids, usual_ids);
  const u64 begin = of(ids, least_rows, 0).ranges_offset;
  const u64 stride = file_size_limit <= begin
                         ? 0
                         : (file_size_limit - begin) / ids / os::page_size() * os::page_size();
  return stride == 0 ? of(0, 0, 0) : of(ids, least_rows, stride);
}

}  // namespace procpool::shm
