// How this program was started, for executing it again: a program may change its environment, its
// working directory and what /proc shows of its arguments. Reads /proc/self/environ, cmdline and
// getcwd, by system calls of its own. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace procpool::os {

// Records what the other functions return. The hook calls it before any code of the program runs;
// later calls change nothing. Without a call, /proc is read when a function needs it. Uses no
// function of the C library that a sanitizer replaces: sanitizers are not ready so early.
void note_program_start() noexcept;

// Whether the dynamic loader reads this entry of an environment ("NAME=value").
bool is_loader_variable(std::string_view entry) noexcept;

// The entries for the dynamic loader in the environment that the program was started with.
std::vector<std::string> initial_loader_variables();

// The working directory that the program was started in, if the loader found a file of this process
// by a path relative to it and the working directory is another one now; otherwise empty.
std::string initial_folder_if_needed();

// "ld.so", its options and the program, if the program was started so, without the program's
// arguments; otherwise empty.
std::vector<std::string> loader_command();

}  // namespace procpool::os
