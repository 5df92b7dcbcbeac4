#include "procpool/progress.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "base/plain_text.hpp"
#include "os/terminal.hpp"

namespace procpool::detail {
namespace {

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

constexpr seconds bar_interval = 100ms;
constexpr seconds line_interval = 10s;  // in a log
constexpr int bar_width = 30;

std::string clock_text(double s) {
  const auto whole = static_cast<long>(std::min(s, 359'999.0));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  }
  return text;
}

// 1234567 as "1,234,567".
std::string grouped(std::size_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

// Three digits, or all digits of a larger number.
std::string rate_text(double rate) {
  if (rate >= 99.95) return grouped(static_cast<std::size_t>(std::llround(std::min(rate, 1e18))));
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", rate);
  return text;
}

}  // namespace

struct progress_meter::display {
  std::string label, unit;
  std::optional<std::size_t> total;
  bool quiet = false;
  bool terminal = false;
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now(), drawn = begin;

  std::string text(std::size_t count, bool last) const {
    const double elapsed = seconds(std::chrono::steady_clock::now() - begin).count();
    const double rate = static_cast<double>(count) / std::max(elapsed, 1e-9);
    std::string out = label.empty() ? "" : label + ": ";
    if (total && *total != 0) {
      const double part = std::min(1.0, static_cast<double>(count) / static_cast<double>(*total));
      if (terminal) {
        const int filled = static_cast<int>(std::lround(part * bar_width));
        out += '[' + std::string(static_cast<std::size_t>(filled), '#') +
               std::string(static_cast<std::size_t>(bar_width - filled), '.') + "] ";
      }
      out += std::to_string(static_cast<int>(part * 100)) + "% ";
      out += grouped(count) + "/" + grouped(*total);
    } else {
      out += grouped(count);
    }
    if (!unit.empty()) out += ' ' + unit;
    out += ", " + rate_text(rate) + "/s, " + clock_text(elapsed);
    if (!last && total && count < *total && rate > 0) {
      out += ", " + clock_text(static_cast<double>(*total - count) / rate) + " left";
    }
    return out;
  }

  void draw(std::size_t count, bool last) {
    std::string line = text(count, last);
    if (terminal) {
      // One column less than the terminal has: some terminals wrap after the last column.
      const auto columns = static_cast<std::size_t>(std::max(0, os::terminal_columns() - 1));
      line.resize(base::bytes_within(line, columns));
      // Return to the first column, write the line, erase the rest.
      line = "\r" + line + "\x1b[K";
      if (last) line += '\n';
    } else {
      line += '\n';
    }
    os::write_stderr(line);
    drawn = std::chrono::steady_clock::now();
  }
};

// By value, as other constructors take their options.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
progress_meter::progress_meter(progress_options options, std::optional<std::size_t> total)
    : display_(std::make_unique<display>()) {
  display_->label = base::plain_line(options.label);
  display_->unit = base::plain_line(options.unit);
  display_->total = options.total ? options.total : total;
  display_->quiet = options.quiet || std::getenv("PROCPOOL_QUIET") != nullptr;
  display_->terminal = os::stderr_is_terminal();
  if (display_->quiet) look_at_ = std::numeric_limits<std::size_t>::max();
}

progress_meter::~progress_meter() {
  if (display_ && !display_->quiet) display_->draw(count_, true);
}

progress_meter::progress_meter(progress_meter&&) noexcept = default;
progress_meter& progress_meter::operator=(progress_meter&&) noexcept = default;

void progress_meter::look() {
  const auto now = std::chrono::steady_clock::now();
  const seconds since = now - display_->drawn;
  const seconds interval = display_->terminal ? bar_interval : line_interval;
  if (since >= interval) display_->draw(count_, false);
  // The clock is read about a hundred times between two drawings, whatever the rate.
  const double rate =
      static_cast<double>(count_) / std::max(seconds(now - display_->begin).count(), 1e-9);
  look_at_ =
      count_ + std::max<std::size_t>(1, static_cast<std::size_t>(rate * interval.count() / 100));
}

}  // namespace procpool::detail
