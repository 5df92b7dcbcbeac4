// What a worker is given when it starts, and the function that it runs. launch knows neither side:
// src/main says which function that is.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "shm/layout.hpp"

namespace procpool::launch {

// One place for a worker in a pool, and which of its successive workers is meant. Unlike a pid it
// is never reused, so it is how a worker is named everywhere.
struct seat_id {
  std::uint32_t seat = 0;  // below max_seats
  std::uint32_t incarnation = 0;
  friend bool operator==(const seat_id&, const seat_id&) = default;
};

inline constexpr std::uint32_t max_seats = shm::max_workers;

struct worker_context {
  int region_fd = -1;  // both open for as long as the worker lives
  int page_fd = -1;
  seat_id id;
  std::uint64_t argument = 0;  // as given to start_worker()
  pid_t server_pid = 0;
};

// Runs in a fresh process with one thread and /dev/null as stdin. All signals are blocked until it
// calls os::accept_signals(), and then do what os/program_signals.hpp says (SIGINT and SIGQUIT are
// ignored, unless the server was told otherwise). When it returns, the worker leaves with _exit(0);
// an exception that leaves it is std::terminate.
using worker_entry = void (*)(const worker_context&);

// What each worker of the library runs. src/main, which knows all rooms, defines it: this is the
// one symbol that a lower room takes from there.
extern const worker_entry bound_worker_entry;

// A test replaces the entry for its program. It does so before main() (from the constructor of a
// static object), so that the entry also holds in a server that is this program executed again.
void set_worker_entry(worker_entry entry) noexcept;
// The replacement if there is one, else bound_worker_entry.
worker_entry current_worker_entry() noexcept;

}  // namespace procpool::launch
