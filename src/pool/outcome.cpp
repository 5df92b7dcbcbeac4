// Reads outcomes: checks what a worker wrote before using it, reads it in place, and gives its
// block back.
#include <system_error>
#include <utility>

#include "objects/object_list.hpp"
#include "os/memfd.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::parent {
namespace {

using shm::task_phase;
using shm::u32;
using shm::u64;
using wire::fail_damaged;

// All loads of a slot in this file are relaxed: the caller has acquired DONE, which publishes the
// slot.

// Null unless the worker had no memory for the outcome.
std::exception_ptr no_room_error(const shm::slot& s) {
  if (s.kind.load(std::memory_order_relaxed) != static_cast<u32>(shm::outcome_kind::no_room)) {
    return nullptr;
  }
  return std::make_exception_ptr(std::system_error(
      static_cast<int>(s.length.load(std::memory_order_relaxed) & 0xffffU), std::generic_category(),
      "procpool: no shared memory for the result of this task: read results, submit fewer at a "
      "time, or free memory"));
}

}  // namespace

// The rare outcomes: errors, values in a block, and harvested outcomes.
detail::outcome_view task_record::pin_slow(bool is_saved) {
  u64 word = 0;
  if (is_saved && saved_exception) {
    detail::wire_reader reader(saved.data(), saved.size());
    return {wire::decode_exception(reader, label()), nullptr, 0};
  }
  if (is_saved) return {error, saved.data(), saved.size()};
  try {
    if (!load(word)) fail_damaged();
    if (names_objects(word)) owner->take_over_objects(*this, word);
    return read_outcome(word);
  } catch (...) {
    return {std::current_exception(), nullptr, 0};
  }
}

raw_outcome task_record::find_outcome(u64 word) {
  if (shm::phase_of(word) == task_phase::cancelled) {
    return {std::make_exception_ptr(cancelled_error()), nullptr, 0, false};
  }
  if (shm::phase_of(word) == task_phase::crashed) {
    // Only the parent sets CRASHED, and it stores the error first.
    if (!error) fail_damaged();
    return {error, nullptr, 0, false};
  }
  if (shm::phase_of(word) != task_phase::done) fail_damaged();
  const shm::slot& s = *slot.load(std::memory_order_relaxed);
  // Each field is loaded once and checked; only the checked copy is used.
  const u64 length = s.length.load(std::memory_order_relaxed);
  const u64 block = s.block.load(std::memory_order_relaxed);
  const u32 kind = s.kind.load(std::memory_order_relaxed);
  if (std::exception_ptr e = no_room_error(s)) return {std::move(e), nullptr, 0, false};
  if (block == 0 && length > shm::inline_bytes) fail_damaged();
  const std::byte* bytes = block == 0 ? s.bytes : owner->published_bytes(word, block, length);
  if (kind == static_cast<u32>(shm::outcome_kind::value)) return {nullptr, bytes, length, false};
  if (kind == static_cast<u32>(shm::outcome_kind::value_with_objects)) {
    return {nullptr, bytes, wire::object_list(bytes, length).value_size(), false};
  }
  if (kind != static_cast<u32>(shm::outcome_kind::exception)) fail_damaged();
  return {nullptr, bytes, length, true};
}

detail::outcome_view task_record::read_outcome(u64 word) {
  const raw_outcome o = find_outcome(word);
  if (!o.is_exception) return {o.error, o.data, o.size};
  detail::wire_reader reader(o.data, o.size);
  return {wire::decode_exception(reader, label()), nullptr, 0};
}

void task_record::pin_items(std::vector<detail::outcome_run>& out) {
  const bool is_saved = add_pin();
  std::exception_ptr rest = error;
  u32 left = items;
  u64 word = 0;
  const auto add = [&](const detail::outcome_run& run) {
    if (run.count > left) fail_damaged();
    out.push_back(run);
    left -= run.count;
  };
  try {
    read_pieces(add);
    if (!is_saved) {
      if (!load(word)) fail_damaged();
      if (shm::phase_of(word) == task_phase::done) {
        if (names_objects(word)) owner->take_over_objects(*this, word);
        read_items(word, add);
        rest = no_room_error(*slot.load());
      }
      if (shm::phase_of(word) == task_phase::cancelled) {
        rest = std::make_exception_ptr(cancelled_error());
      }
    }
    if (!rest && left != 0) fail_damaged();
  } catch (...) {
    rest = std::current_exception();
  }
  // Items without an outcome of their own get that of the whole chunk.
  if (left != 0) out.push_back({{rest, nullptr, 0}, left});
}

void task_record::read_pieces(const run_sink& out) const {
  if (!extras) return;
  for (const chunk_piece& p : extras->pieces) {
    if (p.error) {
      out({{p.error, nullptr, 0}, p.items});
    } else {
      split_items(p.outcomes.data(), p.outcomes.size(), p.items, extras->label, out);
    }
  }
}

void task_record::read_items(u64 word, const run_sink& out) {
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(slot.load()->bytes);
  // acquire: for a chunk that is not DONE, publishes the outcomes that it counts
  const u64 progress = line.progress.load(std::memory_order_acquire);
  const u64 offset = line.outcomes.load(std::memory_order_relaxed);
  // The pieces hold the items before it.
  const u32 first = first_item;
  const u32 finished = shm::progress_finished(progress);
  if (finished > items || first > finished) fail_damaged();
  const u64 bytes = u64{shm::progress_units(progress)} * 8;
  if (finished == first) return;
  split_items(owner->published_bytes(word, offset, bytes), bytes, finished - first,
              std::string(label()), out);
}

void split_items(const std::byte* data, std::size_t size, std::uint32_t items,
                 const std::string& label, const run_sink& out) {
  wire::chunk_reader in(data, size, items);
  for (wire::chunk_part p; in.next(p);) {
    if (p.kind == shm::outcome_kind::exception) {
      detail::wire_reader reader(p.data, p.size);
      out({{wire::decode_exception(reader, label), nullptr, 0}, 1});
      continue;
    }
    if (p.kind == shm::outcome_kind::value_with_objects) {
      p.size = wire::object_list(p.data, p.size).value_size();
    }
    out({{nullptr, p.data, p.size}, p.count});
  }
}

// Requires a task resolved by DONE.
std::exception_ptr task_record::error_of_rest() const { return no_room_error(*slot.load()); }

void task_record::put_back_result() noexcept {
  u64 word = 0;
  if (!load(word) || shm::phase_of(word) != task_phase::done) return;
  const shm::slot& s = *slot.load(std::memory_order_relaxed);
  const u64 block = items != 0
                        ? reinterpret_cast<const shm::chunk_progress*>(s.bytes)->outcomes.load()
                        : s.block.load(std::memory_order_relaxed);
  if (block != 0) owner->put_back_block(word, block);
}

std::byte* pool::result_bytes(u64 word, u64 offset, u64 length) {
  const u64 arena = region_.arena_offset();
  if (offset < arena + sizeof(shm::block_header)) fail_damaged();
  const u64 p = region_.partition_of(offset);
  if (!partitions_.is_of(p, shm::worker_of(word))) fail_damaged();
  const u64 end = region_.partition(p) + region_.stride();
  if (length > end - offset || offset % shm::cache_line != 0) fail_damaged();
  // An access past the end of the file raises SIGBUS.
  if (offset + length > known_size_.load(std::memory_order_relaxed)) {
    const u64 size = os::file_size(region_.fd());
    known_size_.store(size, std::memory_order_relaxed);
    if (offset + length > size) fail_damaged();
  }
  // Reading pages that the worker has never written would allocate them.
  if (!view_.may_be_value(offset, length)) fail_damaged();
  // Mapped with the header, which lies in the same window.
  constexpr u64 header = sizeof(shm::block_header);
  return view_.at(offset - header, length + header) + header;
}

namespace {

shm::block_header& header_of(std::byte* bytes) {
  return *reinterpret_cast<shm::block_header*>(bytes - sizeof(shm::block_header));
}

}  // namespace

const std::byte* pool::published_bytes(u64 word, u64 offset, u64 length) {
  std::byte* const bytes = result_bytes(word, offset, length);
  // relaxed: the caller has acquired DONE
  if (header_of(bytes).in_use.load(std::memory_order_relaxed) == 0) fail_damaged();
  return bytes;
}

void pool::put_back_block(u64 word, u64 offset) noexcept {
  try {
    std::byte* const bytes = result_bytes(word, offset, 0);
    // release: this thread's reads happen before the worker's next writes
    header_of(bytes).in_use.store(0, std::memory_order_release);
  } catch (...) {
    // A damaged offset refers to no block that could be given back.
  }
}

}  // namespace procpool::parent
