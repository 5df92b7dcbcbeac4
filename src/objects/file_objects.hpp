// Objects whose memory is a file of the user: each process opens the file by its path and checks
// that it is still the same file. No process tells others when it needs a file no longer. Any
// thread may call these functions.
#pragma once

#include <string>

#include "objects/object_table.hpp"
#include "procpool/detail/shared/shared_object.hpp"

namespace procpool::shm {

struct file_name {
  std::string path;  // absolute
  u64 device = 0;
  u64 inode = 0;
  u64 size = 0;
};

// Describes the file that now has this path. Throws std::system_error unless it is a regular file
// that may be opened with this access and consists of whole elements.
file_name name_file(const std::string& path, detail::object_access access, u64 element_size);

// The file's mapping, with one handle for the caller; an existing mapping is shared. Throws
// std::system_error; ESTALE if the path leads to another file, or if its size has changed.
detail::object_mapping* map_file(const file_name& name, detail::object_access access);

// Called in a worker: from then on the most recently used mappings stay for the next task.
void keep_file_mappings() noexcept;

// Null unless the mapping is of a file.
const file_name* file_of(const detail::object_mapping& mapping) noexcept;

// Memory private to this process, for handles made where nothing is shared: by constructors of
// static objects in a fork server. Throws std::bad_alloc.
detail::object_mapping* make_private_object(u64 bytes);

}  // namespace procpool::shm
