// Names of functions from the symbol table of an ELF file, as a debugger shows them without debug
// information: wraps open and pread. Any thread; may block while it reads the file.
#pragma once

#include <cstdint>
#include <string>

namespace procpool::os {

struct symbol {
  std::string name;          // demangled; empty if none is known
  std::uint64_t offset = 0;  // from the function's beginning
  std::uint64_t address =
      0;  // as linked: what addr2line and nm call it; 0 if the file is no ELF file
};

// The function that contains the code at an offset of the file. The file is not trusted: invalid
// parts of it are ignored.
symbol find_symbol(const std::string& path, std::uint64_t file_offset);

}  // namespace procpool::os
