// task_killed::backtrace: adds symbol names to the trace that os/trace/crash_trace.hpp left in the
// worker line. The text comes from a crashing process, so malformed lines and everything after them
// are left out.
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

#include "os/trace/symbols.hpp"
#include "procpool/errors.hpp"

namespace procpool {
namespace {

template <class Number>
std::optional<Number> parse(std::string_view text, int base) {
  Number value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string hex(std::uint64_t value) {
  char digits[16];
  const auto [end, failed] = std::to_chars(digits, digits + sizeof(digits), value, 16);
  return "0x" + std::string(digits, end);
}

std::string describe(const std::string& path, std::uint64_t offset) {
  if (path == "?") return "? (" + hex(offset) + ")";
  const os::symbol s = os::find_symbol(path, offset);
  const std::string place = " (" + path + " " + hex(s.address != 0 ? s.address : offset) + ")";
  return (s.name.empty() ? "?" : s.name + "+" + hex(s.offset)) + place;
}

}  // namespace

std::vector<std::string> task_killed::backtrace() const {
  std::vector<std::string> frames, paths;
  std::string_view rest = record_.trace;
  for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos;) {
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const std::size_t plus = line.rfind("+0x");
    if (plus == std::string_view::npos) return frames;
    std::string path(line.substr(0, plus));
    if (path.starts_with('#')) {
      const auto same = parse<std::size_t>(line.substr(1, plus - 1), 10);
      if (!same || *same >= paths.size()) return frames;
      path = paths[*same];
    }
    const auto offset = parse<std::uint64_t>(line.substr(plus + 3), 16);
    if (!offset) return frames;
    frames.push_back(describe(path, *offset));
    paths.push_back(std::move(path));
  }
  return frames;
}

}  // namespace procpool
