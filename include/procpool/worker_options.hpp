// pool_options::workers: how the worker processes of a pool differ from the program that starts
// them. Applied in each worker before its initializer, also in replacements, with every start
// method. Values, without locks.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace procpool {

struct environment_variable {
  std::string name = {};
  std::optional<std::string> value = {};  // empty: the variable is removed
};

// Which process the kernel kills when the machine or the control group has no memory left.
enum class out_of_memory_victim {
  largest,  // as the kernel chooses: mostly the one with the most memory, perhaps the program
  worker,   // a worker, before the program and before most other processes of the machine
};

// On which of the program's CPUs each worker runs.
enum class worker_pinning {
  none,     // on all of them, as the kernel chooses
  compact,  // on one of them, the next worker on the CPU next to it
  spread,   // on an equal share of them that lie near each other; one, if there are more workers
};

struct worker_options {
  // Added to the nice value of the program, -39 to 39: with a positive number other processes come
  // first. A negative number needs the right to it (CAP_SYS_NICE).
  int nice = 0;
  // The permissions that files made by tasks do not get, for example 027; at most 0777. Default:
  // those of the program.
  std::optional<unsigned> umask = {};
  // Default: the working directory of the program when the pool is made. A relative name begins
  // there. The constructor of the pool throws std::invalid_argument if there is no such directory.
  std::string working_directory = {};
  // Variables that differ from the environment of the program: {{"TMPDIR", "/scratch"}}; of two
  // with one name the later one counts. With start_method::spawn they are there when the worker's
  // program starts. With fork and forkserver they are set before the initializer: libraries that
  // read them when they are loaded have done so.
  std::vector<environment_variable> environment = {};
  // Workers read the standard input of the program, all of them the same one. Default: /dev/null,
  // so that no worker takes lines away from the program.
  bool inherit_stdin = false;
  // Sets OMP_NUM_THREADS and the variables of OpenBLAS, BLIS and MKL in workers to the CPUs of the
  // pool divided by its workers, at least 1, so that all workers together do not start more threads
  // than there are CPUs. Nothing is set where the program's environment or `environment` names
  // OMP_NUM_THREADS, nor any other of these variables that is named there. Libraries read them as
  // `environment` says: with fork and forkserver perhaps too early.
  bool limit_threads = true;
  out_of_memory_victim out_of_memory = out_of_memory_victim::largest;
  // Within the affinity mask and the cpuset that the program has when the pool is made. A worker
  // whose CPUs are all taken from the program later is not pinned.
  worker_pinning pinning = worker_pinning::none;
};

}  // namespace procpool
