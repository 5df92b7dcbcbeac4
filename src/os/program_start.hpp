// What this program was started with, for the case that it is executed again: a program may change
// its environment, its working directory and what /proc shows of its arguments.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace procpool::os {

// Keeps what the rest of this file needs. By the hook, before any code of the program runs; later
// calls change nothing. Without such a call the kernel's records are asked. Uses no function of the
// C library that a sanitizer replaces: sanitizers are not ready so early.
void note_program_start() noexcept;

// Whether the dynamic loader looks at this entry of an environment ("NAME=value").
bool is_loader_variable(std::string_view entry) noexcept;

// The entries for the dynamic loader in the environment that the program was started with.
std::vector<std::string> initial_loader_variables();

// The working directory that the program was started in, if the loader found a file of this process
// by a name that is relative to that directory, and the directory is another one now. Else empty.
std::string initial_folder_if_needed();

// A program that was started as "ld.so [options] program": these, without the program's arguments.
// Empty for all others.
std::vector<std::string> loader_command();

}  // namespace procpool::os
