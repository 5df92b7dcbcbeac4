#include "worker/settings.hpp"

#include "os/affinity.hpp"
#include "os/process_settings.hpp"

namespace procpool::worker {

void apply(const shm::worker_settings& settings, shm::u32 seat, shm::u32 workers) {
  for (const auto& [name, value] : settings.environment) os::set_variable(name, value);
  if (settings.is_victim) os::become_victim();
  if (settings.umask) os::set_umask(*settings.umask);
  if (!settings.working_directory.empty()) os::enter_directory(settings.working_directory);
  // A refusal is no error: see worker_options::pinning.
  os::bind_to(shm::cpus_of(settings, seat, workers));
  if (settings.nice != 0) os::add_nice(settings.nice);
}

}  // namespace procpool::worker
