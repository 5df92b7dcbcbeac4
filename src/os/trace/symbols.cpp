#include "os/trace/symbols.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "os/unique_fd.hpp"

namespace procpool::os {
namespace {

// What is read is copied, and a file that ends too early is as if it had nothing more: it may be
// rebuilt while we look.
class elf_file {
 public:
  // O_NONBLOCK: the name may be that of a pipe.
  explicit elf_file(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    header_ = read<ElfW(Ehdr)>(0);
    const bool ours = header_ && std::memcmp(header_->e_ident, ELFMAG, SELFMAG) == 0 &&
                      header_->e_phentsize == sizeof(ElfW(Phdr)) &&
                      header_->e_shentsize == sizeof(ElfW(Shdr));
    if (!ours) header_.reset();
  }

  std::optional<std::uint64_t> address_of(std::uint64_t file_offset) const {
    for (unsigned i = 0; header_ && i < header_->e_phnum; ++i) {
      const auto p = read<ElfW(Phdr)>(header_->e_phoff + i * sizeof(ElfW(Phdr)));
      if (p && p->p_type == PT_LOAD && file_offset >= p->p_offset &&
          file_offset - p->p_offset < p->p_filesz) {
        return file_offset - p->p_offset + p->p_vaddr;
      }
    }
    return std::nullopt;
  }

  // The full table if there is one, else what the file exports.
  void name(symbol& s) const {
    for (const unsigned type : {unsigned{SHT_SYMTAB}, unsigned{SHT_DYNSYM}}) {
      for (unsigned i = 0; header_ && i < header_->e_shnum && s.name.empty(); ++i) {
        const auto table = section(i);
        if (table && table->sh_type == type && table->sh_entsize == sizeof(ElfW(Sym))) {
          name_from(*table, s);
        }
      }
    }
  }

 private:
  bool read_bytes(std::uint64_t at, void* to, std::size_t size) const {
    return at <= most_bytes &&
           ::pread(fd_.get(), to, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
  }
  template <class T>
  std::optional<T> read(std::uint64_t at) const {
    T value;
    if (!read_bytes(at, &value, sizeof(T))) return std::nullopt;
    return value;
  }
  std::optional<ElfW(Shdr)> section(std::uint64_t index) const {
    if (!header_ || index >= header_->e_shnum) return std::nullopt;
    return read<ElfW(Shdr)>(header_->e_shoff + index * sizeof(ElfW(Shdr)));
  }

  void name_from(const ElfW(Shdr) & table, symbol& s) const {
    const auto strings = section(table.sh_link);
    if (!strings || table.sh_size > most_bytes) return;
    std::vector<ElfW(Sym)> some(1024);
    for (std::uint64_t at = 0; at < table.sh_size; at += some.size() * sizeof(ElfW(Sym))) {
      some.resize(std::min<std::size_t>(some.size(), (table.sh_size - at) / sizeof(ElfW(Sym))));
      if (some.empty() ||
          !read_bytes(table.sh_offset + at, some.data(), some.size() * sizeof(ElfW(Sym)))) {
        return;
      }
      for (const ElfW(Sym) & entry : some) {
        const unsigned kind = entry.st_info & 0xfU;
        if ((kind != STT_FUNC && kind != STT_GNU_IFUNC) || entry.st_shndx == SHN_UNDEF) continue;
        if (s.address < entry.st_value || s.address - entry.st_value >= entry.st_size) continue;
        s.name = text(strings->sh_offset + entry.st_name);
        s.offset = s.address - entry.st_value;
        return;
      }
    }
  }

  // Up to the zero that ends it; a longer one is cut.
  std::string text(std::uint64_t at) const {
    std::string bytes(4096, '\0');
    const ssize_t n = ::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    bytes.resize(::strnlen(bytes.data(), n > 0 ? static_cast<std::size_t>(n) : 0));
    return bytes;
  }

  static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 40U;
  unique_fd fd_;
  std::optional<ElfW(Ehdr)> header_;
};

std::string demangle(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return text ? text.get() : name;
}

}  // namespace

symbol find_symbol(const std::string& path, std::uint64_t file_offset) {
  symbol s;
  const elf_file file(path);
  const auto address = file.address_of(file_offset);
  if (!address) return s;
  s.address = *address;
  file.name(s);
  if (!s.name.empty()) s.name = demangle(s.name);
  return s;
}

}  // namespace procpool::os
