#include "main/become_server.hpp"

#include "launch/role.hpp"
#include "launch/server.hpp"
#include "os/program_start.hpp"
#include "procpool/init.hpp"

namespace procpool {

void main_hook::become_server_if_asked() noexcept {
  os::note_program_start();  // in a program without the hook, whose main() calls init()
  launch::note_hook();
  const int socket = launch::inherited_control_socket();
  if (socket >= 0) launch::run_executed_server(socket);
}

void init(int /*argc*/, char** /*argv*/) { main_hook::become_server_if_asked(); }

}  // namespace procpool
