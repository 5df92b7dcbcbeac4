// The process page: one small memfd of each parent process, which all its pools use and all its
// workers map. It holds the doorbell on which the parent's threads wait for results, and the table
// of modules, by which functions are named (see procpool/detail/task/code_ref.hpp). Behind it in
// the same file lie the shared objects (see object_plan.hpp).
//
// parent_page() may be called from any thread of the parent, attach_page() once in a worker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "os/futex.hpp"

namespace procpool::shm {

inline constexpr std::uint64_t process_page_magic = 0x6c6f'6f70'636f'7270;  // "procpool"
inline constexpr std::uint32_t process_page_version = 3;
inline constexpr std::uint32_t max_modules = 256;
inline constexpr std::size_t max_build_id = 32;
inline constexpr std::size_t max_module_path = 960;

// Written once by the parent, before module_count says that it is there; never changed afterwards.
struct module_entry {
  std::uint32_t is_executable;  // the program itself, wherever its file is by now
  std::uint32_t build_id_size;  // 0: the module has none, and the next four decide
  std::uint64_t device;
  std::uint64_t inode;
  std::uint64_t file_size;
  std::int64_t mtime_ns;
  std::uint64_t extent;  // offsets are below this
  std::byte reserved[16];
  std::byte build_id[max_build_id];
  char path[max_module_path];  // absolute where possible; ends with a zero
};
static_assert(std::is_trivially_copyable_v<module_entry> && sizeof(module_entry) == 1056);

// What decides where the shared objects lie: object_plan.hpp. Constant but for `allocated`.
struct object_header {
  std::uint32_t ids;   // 0: the file may not be large enough for any
  std::uint32_t rows;  // 0 as well, then
  std::uint64_t stride;
  std::atomic<std::uint32_t> allocated;  // entries that may be looked at; only grows
  std::atomic<std::uint32_t> transfers;  // handles that went from one process to another by itself
};

struct process_page {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t size;

  // The futex of the parent's waiting threads. A worker that publishes a result, or arrives at a
  // broadcast, counts it up and wakes them while `doorbell_armed` is not zero.
  alignas(64) std::atomic<std::uint32_t> doorbell;
  std::atomic<std::uint32_t> doorbell_armed;

  // Stored with release after modules[module_count] has been filled.
  alignas(64) std::atomic<std::uint32_t> module_count;
  alignas(64) object_header objects;
  alignas(64) module_entry modules[max_modules];
};
static_assert(std::is_standard_layout_v<process_page>);
static_assert(offsetof(process_page, doorbell) == 64 &&
              offsetof(process_page, module_count) == 128 &&
              offsetof(process_page, objects) == 192 && offsetof(process_page, modules) == 256);

// In a worker, after a change that a thread of the parent may be waiting for, of a word that was
// stored with seq_cst. The parent arms the doorbell and then looks at the word; we store the word
// and then look at `doorbell_armed`, both with seq_cst, so one of the two sees the other.
inline void ring_doorbell(process_page& page) noexcept {
  if (page.doorbell_armed.load() == 0 || page.doorbell_armed.exchange(0) == 0) return;
  page.doorbell.fetch_add(1);
  os::futex_wake(page.doorbell, std::numeric_limits<int>::max());
}

// This parent's page, made on first use. Throws std::system_error.
process_page& parent_page();
// Its memfd, for server_config. Throws std::system_error, and disowned_file (shm/blocks.hpp) when
// the program has closed it.
int parent_page_fd();

// In a worker: maps the page of its parent, which current_page() is from then on; 0 or an errno
// value (EPROTO: not a process page of this version). Does not allocate.
int attach_page(int fd) noexcept;

// Whether this is a process that has attached one.
bool has_attached_page() noexcept;

// The worker's attached page, or the parent's own if there is one (in a process that the program
// has forked, the one of the program until then); nullptr otherwise.
process_page* current_page() noexcept;

// In the parent, by who registers modules: makes sure that the entry may be written without SIGBUS
// (entries are allocated as they come). Throws std::system_error.
void allocate_module_entry(std::uint32_t index);

}  // namespace procpool::shm
