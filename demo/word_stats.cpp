// Word statistics of a folder of documents, serially and on a pool of processes: options.cpp says
// what it can do, run.cpp has the pool.

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "demo/find_files.hpp"
#include "demo/options.hpp"
#include "demo/report.hpp"
#include "demo/run.hpp"

namespace {

template <class F>
double seconds(F work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Other work on the machine, by the mean of the last minute.
void print_load() {
  double load = 0;
  if (::getloadavg(&load, 1) != 1) return;
  const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  const std::string busy = demo::busy_machine(load, static_cast<unsigned>(std::max(1L, cpus)));
  if (!busy.empty()) std::cout << busy << std::endl;
}

// Reads every file once, so that it is in memory and no run waits for the disk.
void warm_up(const std::vector<std::string>& paths) {
  std::vector<char> buffer(1 << 20);
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()))) {
    }
  }
}

std::ostream& line(const char* name) {
  return std::cout << std::left << std::setw(12) << name << std::right;
}

// True when both answers are the same in every part.
bool compare(const demo::file_stats& serial, const demo::file_stats& pool) {
  const std::vector<std::string> different = demo::differences(serial, pool);
  if (different.empty()) {
    line("answers") << "identical, in every count of every word and every match\n";
    return true;
  }
  line("answers") << "DIFFERENT:";
  for (const std::string& part : different) std::cout << " [" << part << ']';
  std::cout << '\n';
  return false;
}

int run(const demo::options& options) {
  const demo::found_files files = demo::find_files(options.dir);
  for (const demo::problem& p : files.problems) {
    std::cerr << "word_stats: left out " << p.path << ": " << p.reason << '\n';
  }
  if (files.paths.empty()) throw std::invalid_argument("there are no files in " + options.dir);
  std::cout << demo::counted(files.paths.size(), files.only_html ? "HTML file" : "file") << " in "
            << options.dir << std::endl;
  print_load();
  warm_up(files.paths);

  demo::file_stats serial;
  demo::pool_answer pool;
  const double serial_time = seconds([&] { serial = run_serially(files.paths, options); });
  const double pool_time = seconds([&] { pool = run_on_pool(files.paths, options); });

  demo::print_summary(std::cout, serial);
  if (!options.quiet) demo::print_top(std::cout, serial, options.keywords, options.top);
  std::cout << std::fixed << std::setprecision(2) << '\n';
  line("serial") << serial_time << " s\n";
  line("pool") << pool_time << " s, "
               << demo::counted(static_cast<std::uint64_t>(pool.workers), "worker") << ", "
               << options.start << '\n';
  line("ratio") << serial_time / pool_time << ", the serial time by that of the pool\n";
  if (options.chaos) {
    line("chaos") << demo::counted(pool.killed, "worker") << " killed, "
                  << demo::counted(pool.retried, "task") << " run again\n";
  }
  return compare(serial, pool.stats) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  const demo::options options = demo::parse_options({argv + 1, argv + argc});
  if (options.help) {
    std::cout << demo::usage;
    return 0;
  }
  return run(options);
} catch (const demo::usage_error& e) {
  std::cerr << "word_stats: " << e.what() << "; --help lists the options\n";
  return 2;
} catch (const std::invalid_argument& e) {
  std::cerr << "word_stats: " << e.what() << '\n';
  return 2;
} catch (const std::exception& e) {
  std::cerr << "word_stats: " << e.what() << '\n';
  return 1;
}
