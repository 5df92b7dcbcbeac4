#include "main/become_server.hpp"

#include "launch/server.hpp"
#include "os/program_start.hpp"
#include "procpool/init.hpp"
#include "runtime/process_role.hpp"

namespace procpool {

void main_hook::become_server_if_asked() noexcept {
  os::note_program_start();  // for a program without the hook, whose main() calls init()
  runtime::note_hook();
  const runtime::server_order order = runtime::take_server_order();
  if (order.for_this_copy) launch::run_executed_server(order.control_socket);
  // Else the user's main() would run again. A requested copy that is loaded has a hook of its own.
  if (order.for_missing_copy) launch::refuse_executed_server(order.control_socket);
}

void init(int /*argc*/, char** /*argv*/) { main_hook::become_server_if_asked(); }

}  // namespace procpool
