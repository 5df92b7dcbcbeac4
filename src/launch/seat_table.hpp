// The fork server's table of its workers, of fixed size, with one row for each seat. A row also
// holds events not reported to the parent yet, so that a parent that is slow to read costs no
// memory and the server never waits for it. One thread uses it; no function allocates.
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
  bool tell_start = false;  // `started` must still be sent
  bool tell_failure = false;
  int error = 0;
  os::child_end end;
};

class seat_table {
 public:
  // Null when that seat does not exist or is taken: the parent has violated the protocol.
  seat_row* free_row(seat_id id) noexcept;
  // The running worker with that identity, or null.
  seat_row* find(seat_id id) noexcept;
  seat_row* find(pid_t pid) noexcept;

  void started(seat_row& row, seat_id id, pid_t pid) noexcept;
  void failed(seat_row& row, seat_id id, int error) noexcept;
  void died(seat_row& row, const os::child_end& end) noexcept;

  // Sends the parent the pending reports, until the socket is full: false when some remain. Of one
  // worker, `started` always goes before `exited`.
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
  std::uint32_t pending_ = 0;  // rows with unsent reports
};

}  // namespace procpool::launch
