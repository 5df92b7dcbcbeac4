#include "shm/process_page.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/per_process.hpp"
#include "os/error.hpp"
#include "os/limits.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/private_fds.hpp"
#include "shm/blocks.hpp"
#include "shm/object_plan.hpp"

namespace procpool::shm {
namespace {

struct owned_page {
  owned_page();
  os::private_fd fd;
  os::mapping bytes;
  process_page* page = nullptr;
};

constinit base::per_process<owned_page> pages;
constinit std::atomic<process_page*> attached{nullptr};

// The numbers of modules are cached in many places, so a process that the program forks continues
// with the modules that it has inherited. The older page is still mapped.
std::uint32_t inherited_modules(const process_page* older) {
  // acquire: the entries come with the count
  return older == nullptr
             ? 0
             : std::min(older->module_count.load(std::memory_order_acquire), max_modules);
}

owned_page::owned_page() {
  const owned_page* const older = pages.latest();
  const std::uint32_t modules = inherited_modules(older == nullptr ? nullptr : older->page);
  fd = os::private_fd(os::create_memfd("procpool-page"));
  // Allocates the head and the executable's entry now, further entries as modules come: the file
  // covers the tables and all shared objects, but only its first page takes memory.
  const object_plan plan = object_plan::make(os::file_size_limit());
  os::set_file_size(fd.get(), plan.file_size);
  const auto head = offsetof(process_page, modules) + std::max(modules, 1U) * sizeof(module_entry);
  if (int error = os::allocate_memfd(fd.get(), 0, head); error != 0) {
    os::throw_error(error, "cannot allocate shared memory");
  }
  os::forbid_resize(fd.get());
  bytes = os::mapping::shared(fd.get(), 0, plan.fixed_bytes);
  page = new (bytes.data()) process_page;
  page->magic = process_page_magic;
  page->version = process_page_version;
  page->size = sizeof(process_page);
  page->objects.ids = plan.ids;
  page->objects.rows = plan.rows;
  page->objects.stride = plan.stride;
  for (std::uint32_t i = 0; i < modules; ++i) page->modules[i] = older->page->modules[i];
  // relaxed: a thread that gets this page, or a process that maps it, finds all of it complete
  page->module_count.store(modules, std::memory_order_relaxed);
}

}  // namespace

process_page& parent_page() { return *pages.get().page; }

int parent_page_fd() {
  const os::private_fd& fd = pages.get().fd;
  if (!fd.is_ours()) throw disowned_file(fd.get());
  return fd.get();
}

int attach_page(int fd) noexcept {
  const std::uint64_t size = os::file_size(fd);
  if (size < sizeof(process_page)) return EPROTO;
  os::mapping bytes = os::mapping::try_shared(fd, 0, sizeof(process_page));
  if (!bytes) return errno;
  auto* page = reinterpret_cast<process_page*>(bytes.data());
  if (page->magic != process_page_magic || page->version != process_page_version ||
      page->size != sizeof(process_page)) {
    return EPROTO;
  }
  const object_header& o = page->objects;
  const object_plan plan = object_plan::of(o.ids, o.rows, o.stride);
  if (plan.file_size > size) return EPROTO;
  if (plan.fixed_bytes > bytes.size()) {
    bytes = os::mapping::try_shared(fd, 0, plan.fixed_bytes);
    if (!bytes) return errno;
    page = reinterpret_cast<process_page*>(bytes.data());
  }
  bytes.exclude_from_fork();
  bytes.release();  // for the rest of the worker's life
  attached.store(page, std::memory_order_release);
  return 0;
}

bool has_attached_page() noexcept { return attached.load(std::memory_order_acquire) != nullptr; }

process_page* current_page() noexcept {
  if (process_page* page = attached.load(std::memory_order_acquire)) return page;
  // In a process that the program has forked, before it has a page of its own: the inherited page.
  // The process's own page will have the same modules.
  const owned_page* const own = pages.latest();
  return own == nullptr ? nullptr : own->page;
}

void allocate_module_entry(std::uint32_t index) {
  const std::uint64_t offset = offsetof(process_page, modules) + index * sizeof(module_entry);
  if (int error = os::allocate_memfd(parent_page_fd(), offset, sizeof(module_entry)); error != 0) {
    os::throw_error(error, "cannot allocate shared memory");
  }
}

}  // namespace procpool::shm
