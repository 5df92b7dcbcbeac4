#include "launch/seat_table.hpp"

#include <algorithm>

#include "os/pidfd.hpp"

namespace procpool::launch {
namespace {

bool has_news(const seat_row& row) noexcept {
  return row.tell_start || row.tell_failure || row.dead;
}

report make_report(report::kind what, const seat_row& row) noexcept {
  report message;
  message.what = what;
  message.id = row.id;
  message.pid = row.pid;
  return message;
}

// The pid still belongs to the worker: it is reaped only after this, or else gets no pidfd.
int send_start(int socket, const seat_row& row) noexcept {
  const report message = make_report(report::kind::started, row);
  const os::unique_fd pidfd = row.dead ? os::unique_fd() : os::open_pidfd(row.pid);
  const int fds[] = {pidfd.get()};
  int result = -EINVAL;
  if (pidfd) result = send_struct(socket, message, fds, os::blocking::no);
  // Without the pidfd if it cannot be sent (too many descriptors in flight): signals then go
  // through this server.
  if (result != 0 && result != -EAGAIN) {
    result = send_struct(socket, message, {}, os::blocking::no);
  }
  return result;
}

int send_end(int socket, const seat_row& row) noexcept {
  report message = make_report(report::kind::exited, row);
  message.code = row.end.code;
  message.status = row.end.status;
  return send_struct(socket, message, {}, os::blocking::no);
}

int send_failure(int socket, const seat_row& row) noexcept {
  report message = make_report(report::kind::start_failed, row);
  message.error = row.error;
  return send_struct(socket, message, {}, os::blocking::no);
}

// False when the socket is full. A socket that is broken for good "accepts" everything: the server
// is about to see its end.
bool tell(int socket, seat_row& row) noexcept {
  if (row.tell_failure) {
    if (send_failure(socket, row) == -EAGAIN) return false;
    row.tell_failure = false;
  }
  if (row.tell_start) {
    if (send_start(socket, row) == -EAGAIN) return false;
    row.tell_start = false;
  }
  if (row.dead) {
    if (send_end(socket, row) == -EAGAIN) return false;
    row.pid = 0;
    row.dead = false;
  }
  return true;
}

}  // namespace

seat_row* seat_table::free_row(seat_id id) noexcept {
  if (id.seat >= max_seats || rows_[id.seat].pid != 0 || has_news(rows_[id.seat])) return nullptr;
  used_ = std::max(used_, id.seat + 1);
  return &rows_[id.seat];
}

seat_row* seat_table::find(seat_id id) noexcept {
  if (id.seat >= max_seats) return nullptr;
  seat_row& row = rows_[id.seat];
  return row.pid != 0 && !row.dead && row.id == id ? &row : nullptr;
}

seat_row* seat_table::find(pid_t pid) noexcept {
  for (std::uint32_t i = 0; i < used_; ++i) {
    if (rows_[i].pid == pid && !rows_[i].dead) return &rows_[i];
  }
  return nullptr;
}

void seat_table::started(seat_row& row, seat_id id, pid_t pid) noexcept {
  row = seat_row{};
  row.id = id;
  row.pid = pid;
  row.tell_start = true;
  ++pending_;
}

void seat_table::failed(seat_row& row, seat_id id, int error) noexcept {
  row = seat_row{};
  row.id = id;
  row.error = error;
  row.tell_failure = true;
  ++pending_;
}

void seat_table::died(seat_row& row, const os::child_end& end) noexcept {
  if (!has_news(row)) ++pending_;
  row.dead = true;
  row.end = end;
}

bool seat_table::send_reports(int socket) noexcept {
  for (std::uint32_t i = 0; i < used_ && pending_ > 0; ++i) {
    if (!has_news(rows_[i])) continue;
    if (!tell(socket, rows_[i])) return false;
    --pending_;
  }
  return true;
}

}  // namespace procpool::launch
