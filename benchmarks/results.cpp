#include "results.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

namespace bench {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= ' ') out += c;
  }
  return out + "\"";
}

std::string number(double x) {
  if (x < 0 || !std::isfinite(x)) return "null";
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

void write_machine(std::ostream& out) {
  utsname system{};
  ::uname(&system);
  double load = 0;
  ::getloadavg(&load, 1);
  char date[32] = {};
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof(date), "%Y-%m-%d", std::gmtime(&now));
  out << "\"machine\": {\"cpus\": " << ::sysconf(_SC_NPROCESSORS_ONLN)
      << ", \"model\": " << quoted(processor())
      << ", \"kernel\": " << quoted(std::string(system.sysname) + " " + system.release)
      << ", \"compiler\": " << quoted("g++ " __VERSION__) << ", \"load\": " << number(load)
      << ", \"date\": " << quoted(date) << "}";
}

void write_row(std::ostream& out, const row& r) {
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
  out << "}";
}

}  // namespace

// Written beside it and renamed: an interrupted run leaves what there was.
void write_json(const std::string& path, const std::vector<row>& rows, int rounds) {
  const std::string beside = path + ".new";
  {
    std::ofstream out(beside);
    out << "{\n";
    write_machine(out);
    out << ",\n\"command\": \"make bench\",\n\"rounds\": " << rounds << ",\n\"rows\": [\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      write_row(out, rows[i]);
      out << (i + 1 < rows.size() ? ",\n" : "\n");
    }
    out << "]\n}\n";
  }
  if (std::rename(beside.c_str(), path.c_str()) != 0) std::perror(path.c_str());
}

}  // namespace bench
