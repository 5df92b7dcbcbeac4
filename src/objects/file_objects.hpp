// Objects whose memory is a file of the user: each process opens it by its path, and looks whether
// it is still the same file. Nobody has to be told when it is not needed any more. Any thread.
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

// The file that has this name now. Throws std::system_error unless it is a file of whole elements
// that may be opened so.
file_name name_file(const std::string& path, detail::object_access access, u64 element_size);

// Its memory, counted once for the caller; a mapping that there is already serves all. Throws
// std::system_error; ESTALE if the path leads to another file, or if its size has changed.
detail::object_mapping* map_file(const file_name& name, detail::object_access access);

// From here on the mappings used last stay for the next task: in a worker.
void keep_file_mappings() noexcept;

// Null unless the mapping is that of a file.
const file_name* file_of(const detail::object_mapping& mapping) noexcept;

// Memory of this process alone, for handles that are made where nothing is shared: by constructors
// of static objects in a fork server. Throws std::bad_alloc.
detail::object_mapping* make_private_object(u64 bytes);

}  // namespace procpool::shm
