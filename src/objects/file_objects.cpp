#include "objects/file_objects.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <system_error>
#include <vector>

#include "base/guarded.hpp"
#include "base/per_process.hpp"
#include "os/file.hpp"

namespace procpool::shm {
namespace {

using detail::object_access;
using detail::object_mapping;

constexpr std::size_t most_idle = 8;

[[noreturn]] void fail(int error, const std::string& path, const std::string& what) {
  throw std::system_error(error, std::generic_category(),
                          "procpool: cannot map the file '" + path + "'" + what);
}

struct file_mapping : object_mapping {
  file_name name;
  os::mapping memory;
};

class file_owner final : public mapping_owner {
 public:
  object_mapping* find_or_map(const file_name& name, object_access access);
  void release(object_mapping& mapping) noexcept override;
  void keep() noexcept { most_idle_ = most_idle; }

 private:
  base::mutex mutex_;
  std::vector<std::unique_ptr<file_mapping>>
      mappings_;  // idle mappings in the order in which they became idle
  std::size_t most_idle_ = 0;
  detail::home_process home_;
};

constinit base::per_process<file_owner> owners;
file_owner& files() { return owners.get(); }

class private_owner final : public mapping_owner {
 public:
  struct private_mapping : object_mapping {
    os::mapping memory;
  };
  void release(object_mapping& u) noexcept override {
    // acquire, release: other threads' last accesses come before the deletion
    if (u.handles.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete static_cast<private_mapping*>(&u);
  }
};

private_owner& privates() {
  static auto* const owner = new private_owner;
  return *owner;
}

object_mapping* file_owner::find_or_map(const file_name& name, object_access access) {
  const base::lock_guard lock(mutex_);
  for (const std::unique_ptr<file_mapping>& u : mappings_) {
    // While the file is mapped its inode number is not given to another file.
    if (u->name.inode != name.inode || u->name.device != name.device || u->access != access) {
      continue;
    }
    if (u->name.size != name.size) continue;
    // relaxed: handle counts leave 0 only under the mutex
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
  auto mapping = std::make_unique<file_mapping>();
  mapping->name = name;
  mapping->access = access;
  mapping->owner = this;
  mapping->memory = os::mapping::try_shared(
      fd.get(), 0, name.size, writable ? os::access::read_write : os::access::read_only);
  if (!mapping->memory) fail(errno, name.path, "");
  mapping->data = mapping->memory.data();
  mapping->bytes = name.size;
  mapping->handles.store(1, std::memory_order_relaxed);
  mappings_.push_back(std::move(mapping));
  return mappings_.back().get();
}

void file_owner::release(object_mapping& mapping) noexcept {
  // In a forked copy the file stays mapped: a thread that the copy lacks may hold the mutex.
  if (!home_.is_like_here()) return;
  const base::lock_guard lock(mutex_);
  // acquire, release: other threads' last accesses come before the unmapping
  if (mapping.handles.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const auto is_idle = [](const std::unique_ptr<file_mapping>& u) {
    return u->handles.load(std::memory_order_relaxed) == 0;
  };
  const auto self =
      std::find_if(mappings_.begin(), mappings_.end(),
                   [&](const std::unique_ptr<file_mapping>& u) { return u.get() == &mapping; });
  std::rotate(self, self + 1, mappings_.end());
  if (static_cast<std::size_t>(std::count_if(mappings_.begin(), mappings_.end(), is_idle)) >
      most_idle_) {
    mappings_.erase(std::find_if(mappings_.begin(), mappings_.end(), is_idle));
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

object_mapping* map_file(const file_name& name, object_access access) {
  return files().find_or_map(name, access);
}

void keep_file_mappings() noexcept { files().keep(); }

const file_name* file_of(const object_mapping& mapping) noexcept {
  // A mapping inherited through a fork has the owner object of the process that was forked.
  const bool is_file = dynamic_cast<const file_owner*>(mapping.owner) != nullptr;
  return is_file ? &static_cast<const file_mapping&>(mapping).name : nullptr;
}

object_mapping* make_private_object(u64 bytes) {
  auto mapping = std::make_unique<private_owner::private_mapping>();
  mapping->memory = os::mapping::try_anonymous(bytes);
  if (!mapping->memory) throw std::bad_alloc();
  mapping->owner = &privates();
  mapping->data = mapping->memory.data();
  mapping->bytes = bytes;
  mapping->handles.store(1, std::memory_order_relaxed);
  return mapping.release();
}

}  // namespace procpool::shm
