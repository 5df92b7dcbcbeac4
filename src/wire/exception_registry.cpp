#include "wire/exception_registry.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/guarded.hpp"
#include "base/per_process.hpp"

namespace procpool::wire {
namespace {

using detail::exception_entry;

struct registered {
  exception_entry entry;
  int uses;
};

// Static objects register types in any order, and unregister them up to the program's very end, so
// the first registration creates this object, and it is never destroyed.
struct registry {
  base::per_process_lockable<std::mutex> mutex;
  std::vector<registered> added GUARDED_BY(mutex);
  std::unordered_multimap<std::uint64_t, exception_entry> by_name GUARDED_BY(mutex);
  bool indexed GUARDED_BY(mutex) = false;
};

// Several libraries may register one type, each with functions of its own; a library that is
// unloaded takes its functions along.
bool same(const exception_entry& a, const exception_entry& b) {
  return *a.type == *b.type && a.encode == b.encode && a.decode == b.decode;
}

registry& the_registry() {
  static registry* const instance = new registry;
  return *instance;
}

void add_to_index(registry& r, const exception_entry& entry) REQUIRES(r.mutex) {
  const std::uint64_t hash = hash_name(exception_type_name(*entry.type));
  const auto [first, last] = r.by_name.equal_range(hash);
  const bool known = std::any_of(
      first, last, [&](const auto& found) { return *found.second.type == *entry.type; });
  if (!known) {
    r.by_name.emplace(hash, entry);
  }
}

// Built only when the first exception is encoded or decoded: most programs never do that.
void build_index(registry& r) REQUIRES(r.mutex) {
  if (r.indexed) {
    return;
  }
  r.by_name.clear();
  for (const registered& mine : r.added) {  // before the standard exceptions: a user's codec wins
    add_to_index(r, mine.entry);
  }
  for (const exception_entry& entry : standard_exceptions()) {
    add_to_index(r, entry);
  }
  r.indexed = true;
}

}  // namespace

std::string exception_type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  std::string name = readable != nullptr ? readable.get() : type.name();
  for (const std::string_view wrapper :
       {std::string_view("std::_Nested_exception<"), std::string_view("std::__nested<"),
        std::string_view("procpool::from_task<")}) {
    if (name.starts_with(wrapper) && name.ends_with('>')) {
      name = name.substr(wrapper.size(), name.size() - wrapper.size() - 1);
      while (name.ends_with(' ')) {
        name.pop_back();
      }
    }
  }
  // An inline namespace that programmers do not write.
  constexpr std::string_view noise = "__cxx11::";
  for (std::size_t at = 0; (at = name.find(noise, at)) != std::string::npos;) {
    name.erase(at, noise.size());
  }
  return name;
}

std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash == 0 ? 1 : hash;
}

bool find_exception(std::uint64_t name_hash, exception_entry& found) {
  registry& r = the_registry();
  const base::lock_guard lock(r.mutex);
  build_index(r);
  const auto [first, last] = r.by_name.equal_range(name_hash);
  // Two types of the same name, in anonymous namespaces of two files, cannot be told apart.
  if (first == last || std::next(first) != last) {
    return false;
  }
  found = first->second;
  return true;
}

}  // namespace procpool::wire

namespace procpool::detail {

void register_exception(const exception_entry& entry) {
  procpool::wire::registry& r = procpool::wire::the_registry();
  const procpool::base::lock_guard lock(r.mutex);
  for (procpool::wire::registered& known : r.added) {
    if (procpool::wire::same(known.entry, entry)) {
      ++known.uses;
      return;
    }
  }
  r.added.push_back({entry, 1});
  r.indexed = false;
}

void unregister_exception(const exception_entry& entry) noexcept {
  procpool::wire::registry& r = procpool::wire::the_registry();
  const procpool::base::lock_guard lock(r.mutex);
  const auto known = std::find_if(r.added.begin(), r.added.end(), [&](const auto& a) {
    return procpool::wire::same(a.entry, entry);
  });
  if (known != r.added.end() && --known->uses == 0) {
    r.added.erase(known);
    r.indexed = false;
  }
}

}  // namespace procpool::detail
