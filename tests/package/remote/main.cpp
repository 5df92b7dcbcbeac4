// A server and its client, with the library of remote managers as it is installed.
#include <procpool/remote.hpp>

int main() {
  const std::string key = procpool::make_remote_key();
  procpool::remote_server server({.address = "127.0.0.1:0", .key = key});
  server.expose("twice", [](int x) { return 2 * x; });
  server.start();
  const procpool::remote_client client({.address = server.address(), .key = key});
  return client.call<int>("twice", 21) == 42 ? 0 : 1;
}
