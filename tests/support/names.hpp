// Names in the system that given processes hold: of sockets, and of files in /dev/shm and /tmp.
// What other processes of the machine have at the same time, other tests among them, is left out.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace procpool::testing {

inline std::set<std::string> entries_of(const std::string& folder) {
  std::set<std::string> names;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* e = readdir(dir)) names.insert(folder + "/" + e->d_name);
  closedir(dir);
  return names;
}

// The text of a file in /proc. With read(): a stream throws when the process vanishes between open
// and read.
inline std::string text_of(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = read(fd, part, sizeof part)) > 0;) {
    text.append(part, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

// What the descriptors of a process refer to, as /proc names it.
inline std::set<std::string> descriptor_targets(pid_t pid) {
  std::set<std::string> targets;
  for (const std::string& path : entries_of("/proc/" + std::to_string(pid) + "/fd")) {
    char target[512] = {};
    if (readlink(path.c_str(), target, sizeof target - 1) > 0) targets.insert(target);
  }
  return targets;
}

// The names of the sockets that a process holds. Abstract ones begin with an @.
inline std::set<std::string> socket_names_of(pid_t pid) {
  const std::set<std::string> held = descriptor_targets(pid);
  std::set<std::string> names;
  std::istringstream sockets(text_of("/proc/net/unix"));
  for (std::string line; std::getline(sockets, line);) {
    std::istringstream words(line);
    const std::vector<std::string> columns(std::istream_iterator<std::string>(words), {});
    if (columns.size() > 7 && held.contains("socket:[" + columns[6] + "]")) {
      names.insert(columns[7]);
    }
  }
  return names;
}

// The name under which a manager listens, without its @; empty if there is none.
inline std::string socket_name_of_manager(pid_t pid) {
  for (const std::string& name : socket_names_of(pid)) {
    if (name.starts_with("@procpool-")) return name.substr(1);
  }
  return {};
}

// All of them, and files that a process has open or shares with others as memory. Files that this
// process has open, too, were inherited from it.
inline std::set<std::string> names_held_by(const std::set<pid_t>& pids) {
  const auto is_named = [](const std::string& path) {
    return (path.starts_with("/dev/shm/") || path.starts_with("/tmp/")) &&
           !path.ends_with(" (deleted)");
  };
  const std::set<std::string> inherited = descriptor_targets(getpid());
  std::set<std::string> names;
  for (const pid_t pid : pids) {
    names.merge(socket_names_of(pid));
    for (const std::string& target : descriptor_targets(pid)) {
      if (is_named(target) && !inherited.contains(target)) names.insert(target);
    }
    std::istringstream maps(text_of("/proc/" + std::to_string(pid) + "/maps"));
    for (std::string line; std::getline(maps, line);) {
      const auto path = line.find('/');
      if (path == std::string::npos || line.find("rw-s ") == std::string::npos) continue;
      if (is_named(line.substr(path))) names.insert(line.substr(path));
    }
  }
  return names;
}

}  // namespace procpool::testing
