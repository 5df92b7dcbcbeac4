// Names of functions from the symbol table of an ELF file: what a debugger would say without debug
// information. Any thread; reads the file, so it may block.
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

// Of the code at an offset of the file. The file is not trusted: anything that makes no sense in it
// is as if it were not there.
symbol find_symbol(const std::string& path, std::uint64_t file_offset);

}  // namespace procpool::os
