#include "shm/process_page.hpp"

#include <cerrno>
#include <mutex>
#include <new>

#include "os/error.hpp"
#include "os/limits.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/private_fds.hpp"
#include "shm/blocks.hpp"
#include "shm/object_table.hpp"

namespace procpool::shm {
namespace {

struct owned_page {
  os::private_fd fd;
  os::mapping bytes;
};

std::mutex mutex;  // only while the page is made
constinit std::atomic<process_page*> own{nullptr};
constinit std::atomic<process_page*> attached{nullptr};

// Never destroyed: static executors use the page until the last of them is gone.
owned_page& storage() {
  static auto* const page = new owned_page;
  return *page;
}

void make_page(owned_page& page) {
  os::private_fd fd(os::create_memfd("procpool-page"));
  // The head and the executable's entry now, further entries as modules come: a file that reaches
  // to the end of the tables and of all shared objects, of which only the first page takes memory.
  const object_plan plan = object_plan::make(os::file_size_limit());
  os::set_file_size(fd.get(), plan.file_size);
  const auto head = offsetof(process_page, modules) + sizeof(module_entry);
  if (int error = os::allocate_memfd(fd.get(), 0, head); error != 0) {
    os::throw_error(error, "cannot allocate shared memory");
  }
  os::forbid_resize(fd.get());
  page.bytes = os::mapping::shared(fd.get(), 0, plan.fixed_bytes);
  page.fd = std::move(fd);
  auto* made = new (page.bytes.data()) process_page;
  made->magic = process_page_magic;
  made->version = process_page_version;
  made->size = sizeof(process_page);
  made->objects.ids = plan.ids;
  made->objects.rows = plan.rows;
  made->objects.stride = plan.stride;
  // release: complete before anybody finds it; all loads acquire
  own.store(made, std::memory_order_release);
}

}  // namespace

process_page& parent_page() {
  // Acquire: what make_page wrote before it published the address.
  if (process_page* page = own.load(std::memory_order_acquire)) return *page;
  const std::lock_guard lock(mutex);
  if (own.load(std::memory_order_relaxed) == nullptr) make_page(storage());
  return *own.load(std::memory_order_relaxed);
}

int parent_page_fd() {
  parent_page();
  const os::private_fd& fd = storage().fd;
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
  return own.load(std::memory_order_acquire);
}

void allocate_module_entry(std::uint32_t index) {
  const std::uint64_t offset = offsetof(process_page, modules) + index * sizeof(module_entry);
  if (int error = os::allocate_memfd(parent_page_fd(), offset, sizeof(module_entry)); error != 0) {
    os::throw_error(error, "cannot allocate shared memory");
  }
}

}  // namespace procpool::shm
