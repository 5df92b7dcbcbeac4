// The process page: one small memfd of each parent process, which all its pools use and all its
// workers map. It holds the doorbell on which the parent's threads wait for results, and the table
// of modules, by which functions are named (see procpool/detail/task/code_ref.hpp). The shared
// objects follow it in the same file (see object_plan.hpp).
//
// Any thread of the parent may call parent_page(); a worker calls attach_page() once.
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

// Written once by the parent, before module_count includes it; never changed afterwards.
struct module_entry {
  std::uint32_t is_executable;  // 1: the program itself, even if its file has moved
  std::uint32_t build_id_size;  // 0: the module has none, and the next four members identify it
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

// The sizes that determine where the shared objects lie: object_plan.hpp. Constant except for the
// atomic members.
struct object_header {
  std::uint32_t ids;   // 0: the file size limit allows no objects
  std::uint32_t rows;  // 0 if ids is 0
  std::uint64_t stride;
  std::atomic<std::uint32_t> allocated;  // number of usable entries; only grows
  std::atomic<std::uint32_t> transfers;  // handles that processes passed on without the parent
};

struct process_page {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t size;

  // The futex of the parent's waiting threads. A worker that publishes a result, or arrives at a
  // broadcast, increments it and wakes them if `doorbell_armed` is not zero.
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

// Called in a worker after it has changed, with seq_cst, a word that a thread of the parent may be
// waiting for. The parent arms the doorbell and then reads the word; the worker stores the word and
// then reads `doorbell_armed`, both with seq_cst, so one of the two sees the other's store.
inline void ring_doorbell(process_page& page) noexcept {
  if (page.doorbell_armed.load() == 0 || page.doorbell_armed.exchange(0) == 0) return;
  page.doorbell.fetch_add(1);
  os::futex_wake(page.doorbell, std::numeric_limits<int>::max());
}

// This parent's page, created on first use. Throws std::system_error.
process_page& parent_page();
// The page's memfd, for server_config. Throws std::system_error, and disowned_file (shm/blocks.hpp)
// when the program has closed it.
int parent_page_fd();

// In a worker: maps the page of its parent, which current_page() returns from then on. 0 or an
// errno value (EPROTO: not a process page of this version). Does not allocate.
int attach_page(int fd) noexcept;

// Whether this process has attached a page.
bool has_attached_page() noexcept;

// The worker's attached page, or else the parent's own page (in a process that the program has
// forked: the inherited page, until the process has its own); nullptr if there is none.
process_page* current_page() noexcept;

// Called in the parent when it registers a module: makes sure that the entry can be written without
// SIGBUS (entries are allocated on demand). Throws std::system_error.
void allocate_module_entry(std::uint32_t index);

}  // namespace procpool::shm
