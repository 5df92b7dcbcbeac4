#include "pool/worker_settings.hpp"

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "os/affinity.hpp"
#include "os/environment.hpp"
#include "os/file.hpp"

namespace procpool::parent {
namespace {

constexpr int most_nice = 39;  // from one end of the range to the other
constexpr unsigned most_umask = 0777;

void check_variable(const std::string& name, const std::optional<std::string>& value) {
  const std::string option = "worker_options::environment: ";
  const std::string no_terminator(1, '\0');
  if (name.empty()) throw std::invalid_argument(option + "a name must not be empty");
  if (name.find_first_of(no_terminator + "=") != std::string::npos) {
    throw std::invalid_argument(option + "the name \"" + name +
                                "\" must have neither '=' nor a null character");
  }
  if (value && value->find('\0') != std::string::npos) {
    throw std::invalid_argument(option + "the value of " + name +
                                " must not have a null character");
  }
}

// OpenMP's variable also limits the other libraries; each of theirs comes before it.
constexpr const char* openmp_variable = "OMP_NUM_THREADS";
constexpr const char* thread_variables[] = {openmp_variable, "OPENBLAS_NUM_THREADS",
                                            "BLIS_NUM_THREADS", "MKL_NUM_THREADS"};

bool is_named(const worker_options& o, const char* name) {
  return std::any_of(o.environment.begin(), o.environment.end(),
                     [&](const environment_variable& v) { return v.name == name; }) ||
         os::find_variable(std::string(name) + "=") != nullptr;
}

void limit_threads(const worker_options& o, unsigned threads, shm::variables& to) {
  if (!o.limit_threads || is_named(o, openmp_variable)) return;
  for (const char* name : thread_variables) {
    if (!is_named(o, name)) to.emplace_back(name, std::to_string(threads));
  }
}

}  // namespace

void check(const worker_options& o) {
  if (o.nice < -most_nice || o.nice > most_nice) {
    throw std::invalid_argument("worker_options::nice must be between -39 and 39, not " +
                                std::to_string(o.nice));
  }
  if (o.umask && *o.umask > most_umask) {
    throw std::invalid_argument("worker_options::umask must be at most 0777");
  }
  std::error_code error;
  if (!o.working_directory.empty() && !std::filesystem::is_directory(o.working_directory, error)) {
    throw std::invalid_argument("worker_options::working_directory: " + o.working_directory +
                                (error ? ": " + error.message() : " is not a directory"));
  }
  for (const auto& [name, value] : o.environment) check_variable(name, value);
}

shm::worker_settings settings_for(const pool_options& options, unsigned cpus) {
  const worker_options& o = options.workers;
  shm::worker_settings settings;
  settings.nice = o.nice;
  settings.umask = o.umask;
  if (!o.working_directory.empty()) {
    settings.working_directory = std::filesystem::absolute(o.working_directory).string();
  }
  for (const auto& [name, value] : o.environment) settings.environment.emplace_back(name, value);
  settings.max_memory_growth = options.max_memory_growth.value_or(0);
  settings.is_victim = o.out_of_memory == out_of_memory_victim::worker;
  unsigned threads = cpus / static_cast<unsigned>(options.max_workers.value_or(1));
  if (o.pinning != worker_pinning::none) {
    settings.cpus = os::allowed_cpus();
    os::sort_by_distance(settings.cpus, os::read_whole_file);
    settings.shares_cpus = o.pinning == worker_pinning::spread;
    if (!settings.shares_cpus) threads = 1;
  }
  limit_threads(o, std::max(threads, 1U), settings.environment);
  return settings;
}

}  // namespace procpool::parent
