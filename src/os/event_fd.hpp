// An event descriptor: one thread signals, another waits for it in poll(). noexcept but for make.
#pragma once

#include "os/private_fds.hpp"

namespace procpool::os {

private_fd make_event_fd();  // throws std::system_error
void signal_event_fd(int fd) noexcept;
void clear_event_fd(int fd) noexcept;

}  // namespace procpool::os
