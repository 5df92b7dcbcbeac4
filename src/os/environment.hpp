// The environment and identity of this process: wraps environ, getauxval, prctl, readlink and
// getxattr, and the dynamic loader's dladdr, dlinfo and dlsym. Reading is safe from any thread
// while no thread changes the environment; take_variable() is for the start of a process only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace procpool::os {

// The value that follows `prefix` ("NAME=") in the environment, where it may be overwritten; null
// if there is none.
char* find_variable(std::string_view prefix) noexcept;

// Removes "NAME=..." from the environment and returns the value that follows `prefix` ("NAME=");
// null if there is none. Moves pointers only: nothing is allocated or freed.
const char* take_variable(std::string_view prefix) noexcept;

// Removes the entries for the dynamic loader from the environment, and strips `prefix` from the
// entries that begin with it. As take_variable: for the start of a process, nothing is allocated.
void restore_loader_variables(std::string_view prefix) noexcept;

std::vector<std::string> environment();

// Whether the process runs with other rights than its caller (set-user-id, capabilities): then its
// environment cannot be trusted.
bool has_elevated_rights() noexcept;

// Whether has_elevated_rights() would be true in `program` if this process executed it now.
bool would_distrust_environment(const char* program) noexcept;

// Whether /proc is mounted.
bool has_proc() noexcept;

// After unshare(CLONE_NEWPID), or setns() with a pid namespace. The kernel lets such a process
// start no threads.
bool children_have_other_pid_namespace() noexcept;

// argv[0] as it was at the start; may be empty.
std::string first_argument();

// The path to execute to run this program again: /proc/self/exe, which is right even when the file
// has been replaced; under a tool (valgrind), to which that link leads, the path of the program;
// without /proc the name that the program was executed by, if there is such a file.
std::string program_file();

// pthread_atfork, for the child only.
bool on_fork_in_child(void (*handler)()) noexcept;

// The file of the module that holds `address`, and whether it defines `symbol` for other modules.
std::string module_path(const void* address);
bool exports(const std::string& module, const char* symbol);

// The definition of `symbol` that comes after this library's own in the search order; null if there
// is none.
void* next_symbol(const char* symbol) noexcept;

}  // namespace procpool::os
