// What the fork server knows of its workers: a fixed table, one row a seat. Events that the parent
// has not been told yet are part of the row, so that a parent that is slow to read costs no memory
// and the server never waits for it. One thread; no allocation.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "launch/protocol.hpp"
#include "os/children.hpp"

namespace procpool::launch {

struct seat_row {
  seat_id id;
  pid_t pid = 0;            // 0: no worker
  bool dead = false;        // reaped
  bool tell_start = false;  // `started` is still to be sent
  bool tell_failure = false;
  int error = 0;
  os::child_end end;
};

class seat_table {
 public:
  // Null when that seat does not exist or is taken: a parent that does not keep to the protocol.
  seat_row* free_row(seat_id id) noexcept;
  // The running worker with that identity, or null.
  seat_row* find(seat_id id) noexcept;
  seat_row* find(pid_t pid) noexcept;

  void started(seat_row& row, seat_id id, pid_t pid) noexcept;
  void failed(seat_row& row, seat_id id, int error) noexcept;
  void died(seat_row& row, const os::child_end& end) noexcept;

  // Tells the parent what it has not been told, as far as the socket takes it: false when some is
  // left. `started` goes before `exited`, always.
  bool send_reports(int socket) noexcept;

  template <class Visit>
  void for_each_running(Visit visit) noexcept {
    for (std::uint32_t i = 0; i < used_; ++i) {
      if (rows_[i].pid != 0 && !rows_[i].dead) visit(rows_[i]);
    }
  }

 private:
  std::array<seat_row, max_seats> rows_{};
  std::uint32_t used_ = 0;     // rows at and above have never been used
  std::uint32_t pending_ = 0;  // rows with something to tell
};

}  // namespace procpool::launch
