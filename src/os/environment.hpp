// Environment variables, and what a process is told at its start. Reading is safe from any thread
// as long as nobody changes the environment; take_variable() is for the very start of a process.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace procpool::os {

// What follows `prefix` ("NAME=") in the environment, and may be overwritten there; null if it is
// not there.
char* find_variable(std::string_view prefix) noexcept;

// Takes "NAME=..." out of the environment and gives what follows `prefix` ("NAME="); null if it is
// not there. Moves pointers only: nothing is allocated or freed.
const char* take_variable(std::string_view prefix) noexcept;

// Takes the entries for the dynamic loader out of the environment, and `prefix` off those that
// begin with it. As take_variable: for the very start, nothing is allocated.
void restore_loader_variables(std::string_view prefix) noexcept;

std::vector<std::string> environment();

// The process runs with other rights than its caller (set-user-id): its environment is not to be
// believed.
bool has_elevated_rights() noexcept;

// Whether that would be so in this program if this process executed it now.
bool would_distrust_environment(const char* program) noexcept;

// Whether /proc is mounted.
bool has_proc() noexcept;

// After unshare(CLONE_NEWPID), or setns() with a pid namespace. The kernel lets such a process
// start no threads.
bool children_have_other_pid_namespace() noexcept;

// What argv[0] was; it may be empty.
std::string first_argument();

// What to execute to run this very program again: /proc/self/exe, which holds even when the file
// has been replaced; the program's path under a tool that runs it (valgrind), which that link leads
// to; without /proc the name that it was executed by, if there is such a program.
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
