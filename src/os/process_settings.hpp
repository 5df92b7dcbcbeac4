// What a worker changes about itself when it starts: wraps setpriority, umask, chdir, setenv and
// unsetenv, and writes to /proc/self/oom_score_adj. For a process of one thread. All throw
// std::system_error.
#pragma once

#include <optional>
#include <string>

namespace procpool::os {

// Adds to the nice value; the kernel keeps the result between -20 and 19.
void add_nice(int difference);
// When memory is exhausted, the kernel kills this process first.
void become_victim();
void set_umask(unsigned mask) noexcept;
void enter_directory(const std::string& path);
// An empty value removes the variable.
void set_variable(const std::string& name, const std::optional<std::string>& value);

}  // namespace procpool::os
