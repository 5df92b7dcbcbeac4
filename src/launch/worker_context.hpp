// The data that a worker gets when it starts, and the type of the function that it runs. launch
// does not know the function: src/main sets it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "shm/layout.hpp"

namespace procpool::launch {

// A worker's place in a pool and its incarnation. Unlike a pid it is never reused, so it identifies
// a worker everywhere.
struct seat_id {
  std::uint32_t seat = 0;  // below max_seats
  std::uint32_t incarnation = 0;
  friend bool operator==(const seat_id&, const seat_id&) = default;
};

inline constexpr std::uint32_t max_seats = shm::max_workers;

struct worker_context {
  int region_fd = -1;  // both stay open for the worker's life
  int page_fd = -1;
  seat_id id;
  std::uint64_t argument = 0;  // as given to start_worker()
  pid_t server_pid = 0;
};

// Runs in a fresh process with one thread and /dev/null as stdin. All signals are blocked until it
// calls os::accept_signals(); then os/program_signals.hpp applies (SIGINT and SIGQUIT are ignored,
// unless the server was configured otherwise). When it returns, the worker leaves with _exit(0); an
// exception that leaves it calls std::terminate.
using worker_entry = void (*)(const worker_context&);

// The function that all workers of the library run. src/main, which knows all rooms, defines it: it
// is the only symbol that a lower room takes from there.
extern const worker_entry bound_worker_entry;

// A test replaces the entry for its program. It does so before main() (in the constructor of a
// static object), so that the entry is also set in a server that is this program executed again.
void set_worker_entry(worker_entry entry) noexcept;
// The replacement if there is one, else bound_worker_entry.
worker_entry current_worker_entry() noexcept;

}  // namespace procpool::launch
