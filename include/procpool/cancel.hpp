// How far a cancellation goes.
#pragma once

namespace procpool {

enum class cancel_mode {
  pending,       // only a task that no worker has started
  kill_running,  // also a running task: its worker is killed and replaced
};

}  // namespace procpool
