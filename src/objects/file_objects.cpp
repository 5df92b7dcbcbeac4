#include "objects/file_objects.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <vector>

#include "base/per_process.hpp"
#include "os/file.hpp"

namespace procpool::shm {
namespace {

using detail::object_access;
using detail::object_use;

constexpr std::size_t most_idle = 8;

[[noreturn]] void fail(int error, const std::string& path, const std::string& what) {
  throw std::system_error(error, std::generic_category(),
                          "procpool: cannot map the file '" + path + "'" + what);
}

struct file_use : object_use {
  file_name name;
  os::mapping map;
};

class file_home final : public object_home {
 public:
  object_use* find_or_map(const file_name& name, object_access access);
  void drop(object_use& use) noexcept override;
  void keep() noexcept { most_idle_ = most_idle; }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<file_use>> uses_;  // idle ones in the order in which they became so
  std::size_t most_idle_ = 0;
  detail::home_process home_;
};

constinit base::per_process<file_home> homes;
file_home& files() { return homes.get(); }

class private_home final : public object_home {
 public:
  struct use : object_use {
    os::mapping map;
  };
  void drop(object_use& u) noexcept override {
    // acquire, release: the last looks of other threads
    if (u.handles.fetch_sub(1, std::memory_order_acq_rel) == 1) delete static_cast<use*>(&u);
  }
};

private_home& privates() {
  static auto* const home = new private_home;
  return *home;
}

object_use* file_home::find_or_map(const file_name& name, object_access access) {
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<file_use>& u : uses_) {
    // As long as it is mapped its inode is no other file's.
    if (u->name.inode != name.inode || u->name.device != name.device || u->access != access) {
      continue;
    }
    if (u->name.size != name.size) continue;
    // relaxed: handles begin under the mutex
    u->handles.fetch_add(1, std::memory_order_relaxed);
    return u.get();
  }
  const bool writable = access == object_access::read_write;
  const os::unique_fd fd = os::open_file(name.path.c_str(), writable);
  if (!fd) fail(errno, name.path, "");
  const os::file_status now = os::status_of(fd.get());
  if (!now.is_regular || now.device != name.device || now.inode != name.inode) {
    fail(ESTALE, name.path, ": the file was replaced after its handle was made");
  }
  if (now.size != name.size) {
    fail(ESTALE, name.path,
         ": it had " + std::to_string(name.size) + " bytes when its handle was made, and has " +
             std::to_string(now.size));
  }
  auto use = std::make_unique<file_use>();
  use->name = name;
  use->access = access;
  use->home = this;
  use->map = os::mapping::try_shared(fd.get(), 0, name.size,
                                     writable ? os::access::read_write : os::access::read_only);
  if (!use->map) fail(errno, name.path, "");
  use->data = use->map.data();
  use->bytes = name.size;
  use->handles.store(1, std::memory_order_relaxed);
  uses_.push_back(std::move(use));
  return uses_.back().get();
}

void file_home::drop(object_use& use) noexcept {
  // In a copy of the process it stays mapped: threads that are not here may have the mutex.
  if (!home_.is_like_here()) return;
  const std::lock_guard lock(mutex_);
  // acquire, release: the last looks of other threads
  if (use.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const auto is_idle = [](const std::unique_ptr<file_use>& u) {
    return u->handles.load(std::memory_order_relaxed) == 0;
  };
  const auto self =
      std::find_if(uses_.begin(), uses_.end(),
                   [&](const std::unique_ptr<file_use>& u) { return u.get() == &use; });
  std::rotate(self, self + 1, uses_.end());
  if (static_cast<std::size_t>(std::count_if(uses_.begin(), uses_.end(), is_idle)) > most_idle_) {
    uses_.erase(std::find_if(uses_.begin(), uses_.end(), is_idle));
  }
}

}  // namespace

file_name name_file(const std::string& path, object_access access, u64 element_size) {
  const os::unique_fd fd = os::open_file(path.c_str(), access == object_access::read_write);
  if (!fd) fail(errno, path, "");
  const os::file_status status = os::status_of(fd.get());
  if (!status.is_regular) fail(ENODEV, path, ": it is no regular file");
  if (status.size % element_size != 0) {
    fail(EINVAL, path,
         ": its " + std::to_string(status.size) + " bytes are not a whole number of elements of " +
             std::to_string(element_size));
  }
  return {path, status.device, status.inode, status.size};
}

object_use* map_file(const file_name& name, object_access access) {
  return files().find_or_map(name, access);
}

void keep_file_mappings() noexcept { files().keep(); }

const file_name* file_of(const object_use& use) noexcept {
  // One that was inherited by a fork has the home of the process that was forked.
  const bool is_file = dynamic_cast<const file_home*>(use.home) != nullptr;
  return is_file ? &static_cast<const file_use&>(use).name : nullptr;
}

object_use* unshared(u64 bytes) {
  auto use = std::make_unique<private_home::use>();
  use->map = os::mapping::try_anonymous(bytes);
  if (!use->map) throw std::bad_alloc();
  use->home = &privates();
  use->data = use->map.data();
  use->bytes = bytes;
  use->handles.store(1, std::memory_order_relaxed);
  return use.release();
}

}  // namespace procpool::shm
