#include "meter.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace bench {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

bool is_number(const std::string& name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

// Of a process: its threads to the nanosecond, its reaped children to the tick.
double process_cpu(const fs::path& process) {
  double seconds = 0;
  std::error_code gone;
  for (const auto& thread : fs::directory_iterator(process / "task", gone)) {
    seconds += std::strtod(text_of(thread.path() / "schedstat").c_str(), nullptr) / 1e9;
  }
  const std::string stat = text_of(process / "stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return seconds;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 16; ++i) fields >> skipped;  // up to the times of the children
  double user = 0, system = 0;
  fields >> user >> system;
  return seconds + (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= ' ') out += c;
  }
  return out + "\"";
}

std::string number(double x) {
  if (x < 0) return "null";
  std::ostringstream out;
  out.precision(9);
  out << x;
  return out.str();
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

double session_cpu() {
  double seconds = 0;
  const pid_t session = ::getsid(0);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (!is_number(name) || ::getsid(std::atoi(name.c_str())) != session) continue;
    seconds += process_cpu(entry.path());
  }
  return seconds;
}

double this_thread_cpu() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double memory_of(int pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("Pss:")) return std::strtod(line.c_str() + 4, nullptr) * 1024;
  }
  return -1;
}

void write_json(const std::string& path, const std::vector<row>& rows, int rounds) {
  utsname system{};
  ::uname(&system);
  double load = 0;
  ::getloadavg(&load, 1);
  char date[32] = {};
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof(date), "%Y-%m-%d", std::gmtime(&now));
  std::ofstream out(path);
  out << "{\n\"machine\": {\"cpus\": " << ::sysconf(_SC_NPROCESSORS_ONLN)
      << ", \"model\": " << quoted(processor())
      << ", \"kernel\": " << quoted(std::string(system.sysname) + " " + system.release)
      << ", \"compiler\": " << quoted("g++ " __VERSION__) << ", \"load\": " << number(load)
      << ", \"date\": " << quoted(date)
      << "},\n\"command\": \"make bench\",\n\"rounds\": " << rounds << ",\n\"rows\": [\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const row& r = rows[i];
    out << "{\"work\": " << quoted(r.work) << ", \"title\": " << quoted(r.title)
        << ", \"parameter\": " << quoted(r.parameter) << ", \"x\": " << number(r.x)
        << ", \"unit\": " << quoted(r.unit) << ", \"contender\": " << quoted(r.contender)
        << ", \"median\": " << number(r.median) << ", \"p99\": " << number(r.p99)
        << ", \"cpu\": " << number(r.cpu) << ", \"samples\": [";
    for (std::size_t k = 0; k < r.samples.size(); ++k) {
      out << (k == 0 ? "" : ", ") << number(r.samples[k]);
    }
    out << "]";
    if (r.percentiles.size() == 4) {
      out << ", \"percentiles\": {\"50\": " << number(r.percentiles[0])
          << ", \"90\": " << number(r.percentiles[1]) << ", \"99\": " << number(r.percentiles[2])
          << ", \"99.9\": " << number(r.percentiles[3]) << "}";
    }
    out << (i + 1 < rows.size() ? "},\n" : "}\n");
  }
  out << "]\n}\n";
}

}  // namespace bench
