// Functions by module and offset: the parent's side fills the module table of the process page, the
// worker's side finds (or loads) the module that an entry describes.

#include "procpool/detail/task/code_ref.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "base/guarded.hpp"
#include "base/per_process.hpp"
#include "os/modules.hpp"
#include "procpool/errors.hpp"
#include "shm/process_page.hpp"

namespace procpool::detail {
namespace {

using shm::max_modules;
using shm::module_entry;

constexpr int index_shift = 48;
constexpr std::uint64_t offset_mask = (std::uint64_t{1} << index_shift) - 1;
// The table's first entry is number 1, so that no code_ref of a function is zero.
constexpr std::uint64_t first_number = 1;

std::string hex(const std::byte* bytes, std::size_t size) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    const auto value = std::to_integer<unsigned>(bytes[i]);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text.empty() ? "none" : text;
}

module_entry describe(const os::module_info& module) {
  module_entry entry{};
  if (module.path.size() >= shm::max_module_path) {
    throw error("procpool: the path of a library with a task function is too long: " + module.path);
  }
  entry.is_executable = module.is_executable;
  entry.build_id_size =
      static_cast<std::uint32_t>(std::min(module.build_id.size(), shm::max_build_id));
  std::copy_n(module.build_id.begin(), entry.build_id_size, entry.build_id);
  const os::file_identity file = os::identify(module);
  entry.device = file.device;
  entry.inode = file.inode;
  entry.file_size = file.size;
  entry.mtime_ns = file.mtime_ns;
  entry.extent = module.end - module.begin;
  std::memcpy(entry.path, module.path.c_str(), module.path.size() + 1);
  return entry;
}

bool same_build(const module_entry& entry, const os::module_info& module) {
  if (entry.build_id_size != std::min(module.build_id.size(), shm::max_build_id)) return false;
  if (entry.build_id_size != 0) {
    return std::equal(entry.build_id, entry.build_id + entry.build_id_size,
                      module.build_id.begin());
  }
  const os::file_identity file = os::identify(module);
  return file == os::file_identity{entry.device, entry.inode, entry.file_size, entry.mtime_ns};
}

// --- the parent: addresses to references
// -----------------------------------------------------------

struct range {
  std::uintptr_t begin = 0;
  std::uintptr_t size = 0;
  std::uint64_t number = 0;
  std::uint64_t unload_count = 0;  // when the range was found
};

constinit base::per_process_lockable<std::mutex> table_mutex;  // one thread registers at a time
// The executable, which is never unloaded, and each thread's last library.
constinit std::atomic<std::uintptr_t> executable_begin{0};
constinit std::atomic<std::uintptr_t> executable_size{0};
thread_local constinit range last_library;

code_ref make_ref(std::uint64_t number, std::uint64_t offset) {
  return {number << index_shift | offset};
}

std::uint64_t add_module(const os::module_info& module) REQUIRES(table_mutex) {
  const module_entry entry = describe(module);
  shm::process_page& page = shm::parent_page();
  const std::uint32_t count = page.module_count.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < std::min(count, max_modules); ++i) {
    if (std::memcmp(&page.modules[i], &entry, sizeof(entry)) == 0) return i + first_number;
  }
  if (count >= max_modules) {
    throw error("procpool: task functions come from more than 256 different libraries");
  }
  shm::allocate_module_entry(count);
  std::memcpy(&page.modules[count], &entry, sizeof(entry));
  // Release: a worker that sees the count also sees the entry.
  page.module_count.store(count + 1, std::memory_order_release);
  return count + first_number;
}

os::module_info executable_module() {
  os::module_info module = os::loaded_modules().front();
  return *os::module_of(reinterpret_cast<const void*>(module.begin));
}

// For a process that only reads the table (a worker that calls a manager): the entry that its
// parent has announced.
std::uint64_t find_announced(const os::module_info& module) {
  const shm::process_page& page = *shm::current_page();
  // Acquire: pairs with the release in add_module.
  const std::uint32_t count = page.module_count.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < std::min(count, max_modules); ++i) {
    const module_entry& entry = page.modules[i];
    if ((entry.is_executable != 0) == module.is_executable && same_build(entry, module)) {
      return i + first_number;
    }
  }
  throw error("procpool: a function of " + module.path +
              " cannot be named here: the program has used none of that library in a task");
}

code_ref look_up(const void* address) {
  const std::uint64_t unloads = os::unload_count();  // before the search
  const std::optional<os::module_info> module = os::module_of(address);
  if (!module) {
    throw error(
        "procpool: a task function is in no executable or library (code that was generated at run "
        "time cannot be named in another process)");
  }
  range found{module->begin, module->end - module->begin, 0, unloads};
  if (shm::has_attached_page()) {
    found.number = find_announced(*module);
  } else {
    const base::lock_guard lock(table_mutex);
    // The executable always has number one, whichever module is used first.
    if (!module->is_executable) add_module(executable_module());
    found.number = add_module(*module);
  }
  if (module->is_executable) {
    // Relaxed: the next store releases it.
    executable_size.store(found.size, std::memory_order_relaxed);
    // Release: a thread that sees the beginning also sees the size.
    executable_begin.store(found.begin, std::memory_order_release);
  } else {
    last_library = found;
  }
  return make_ref(found.number, reinterpret_cast<std::uintptr_t>(address) - found.begin);
}

// --- the worker: references to addresses
// -----------------------------------------------------------

struct resolved {
  std::atomic<std::uintptr_t> begin{0};
  std::uint64_t extent = 0;  // written before begin
};

constinit std::array<resolved, max_modules> known{};
constinit base::per_process_lockable<std::mutex> resolve_mutex;  // loading is rare and slow

std::string mismatch(const module_entry& entry, const os::module_info& module) {
  return "procpool: " + std::string(entry.path) +
         " is another build in the worker than in the parent (build id " +
         hex(module.build_id.data(), module.build_id.size()) + ", expected " +
         hex(entry.build_id, entry.build_id_size) +
         "): it was replaced while the program ran; restart the program";
}

std::optional<os::module_info> find_loaded(const module_entry& entry) {
  std::optional<os::module_info> other_build;
  for (os::module_info& module : os::loaded_modules()) {
    if (module.is_executable != (entry.is_executable != 0)) continue;
    if (same_build(entry, module)) return std::move(module);
    if (module.is_executable || module.path == entry.path) other_build = std::move(module);
  }
  if (other_build) throw error(mismatch(entry, *other_build));
  return std::nullopt;
}

os::module_info find_or_load(const module_entry& entry) {
  if (auto module = find_loaded(entry)) {
    // Other code has loaded the library and may unload it: load it once more, so that it stays.
    if (!module->is_executable) os::load_library(module->path);
    return std::move(*module);
  }
  if (const auto reason = os::load_library(entry.path)) {
    throw error("procpool: the library of a task function cannot be loaded in the worker: " +
                *reason);
  }
  if (auto module = find_loaded(entry)) return std::move(*module);
  throw error("procpool: " + std::string(entry.path) +
              " is another build in the worker than in the parent: it was replaced while the "
              "program ran; restart the program");
}

std::uintptr_t resolve(std::uint64_t index) {
  const base::lock_guard lock(resolve_mutex);
  // Relaxed: read under the mutex.
  if (auto begin = known[index].begin.load(std::memory_order_relaxed)) return begin;
  const shm::process_page* page = shm::current_page();
  // Acquire: pairs with the release in add_module.
  if (page == nullptr || index >= page->module_count.load(std::memory_order_acquire)) {
    throw error("procpool: a task names a function of a library that the parent never announced");
  }
  module_entry entry;  // a copy, so that the checked values are the ones used
  std::memcpy(&entry, &page->modules[index], sizeof(entry));
  entry.path[shm::max_module_path - 1] = '\0';
  entry.build_id_size = std::min<std::uint32_t>(entry.build_id_size, shm::max_build_id);
  const os::module_info module = find_or_load(entry);
  known[index].extent = module.end - module.begin;
  // Release: the extent is written before.
  known[index].begin.store(module.begin, std::memory_order_release);
  return module.begin;
}

}  // namespace

code_ref to_code_ref(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  // One comparison for both ends: below the beginning, the difference wraps around.
  const std::uintptr_t begin = executable_begin.load(std::memory_order_acquire);
  if (at - begin < executable_size.load(std::memory_order_relaxed)) {
    return make_ref(first_number, at - begin);
  }
  const range& last = last_library;
  if (at - last.begin < last.size && last.unload_count == os::unload_count()) {
    return make_ref(last.number, at - last.begin);
  }
  return look_up(address);
}

void* from_code_ref(code_ref ref) {
  const std::uint64_t number = ref.bits >> index_shift;
  const std::uint64_t offset = ref.bits & offset_mask;
  const std::uint64_t index = number - first_number;
  if (number < first_number || index >= max_modules) {
    throw error("procpool: a task names no function");
  }
  // Acquire: the extent comes with the beginning.
  std::uintptr_t begin = known[index].begin.load(std::memory_order_acquire);
  if (begin == 0) begin = resolve(index);
  if (offset >= known[index].extent) {
    throw error("procpool: a task names a function beyond the end of its library");
  }
  return reinterpret_cast<void*>(begin + offset);
}

}  // namespace procpool::detail
