// The name under which a manager listens: the kernel tells it to every process. Other tests have
// managers at the same time, so it is looked for by the descriptors of this one.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <system_error>

namespace procpool::testing {

// Empty if there is none.
inline std::string socket_name_of_manager(pid_t pid) {
  const std::string begin = "socket:[";
  std::set<std::string> inodes;
  std::error_code gone;
  const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", gone);
  for (const auto& entry : all) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.starts_with(begin)) {
      inodes.insert(target.substr(begin.size(), target.size() - begin.size() - 1));
    }
  }
  std::ifstream sockets("/proc/net/unix");
  for (std::string line; std::getline(sockets, line);) {
    std::istringstream words(line);
    std::string other, inode, path;
    for (int i = 0; i < 6; ++i) words >> other;
    if (words >> inode >> path && path.starts_with("@procpool-") && inodes.contains(inode)) {
      return path.substr(1);
    }
  }
  return {};
}

}  // namespace procpool::testing
