// What means nothing on another machine.
#include <memory>
#include <string>

#include "procpool/procpool.hpp"
#include "procpool/remote.hpp"

struct with_handle {
  int n;
  procpool::shared_array<int> all;
};

inline constexpr procpool::remote_function<int(const std::string&)> parse{"parse"};

void use(procpool::remote_server& server, const procpool::remote_client& client) {
#if !MISTAKE
  server.expose(parse, [](std::string_view s) { return static_cast<int>(s.size()); });
  (void)client.call(parse, "3");
  (void)client.call<std::unique_ptr<int>>("f", 1, std::string("x"));
#endif
#if MISTAKE == __LINE__
  // error: procpool: this type cannot travel to another machine
  server.expose("f", [](const procpool::shared_value<int>&) {});
#endif
#if MISTAKE == __LINE__
  // error: procpool: this type cannot travel to another machine
  // error: with_handle
  client.call<with_handle>("f");
#endif
#if MISTAKE == __LINE__
  // error: procpool: this type cannot travel to another machine
  client.call<void>("f", procpool::mutex());
#endif
#if MISTAKE == __LINE__
  // error: procpool: a function pointer or task cannot be a result
  server.expose("f", [](void (*callback)(int)) { callback(1); });
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  client.call<void>("f", static_cast<int*>(nullptr));
#endif
#if MISTAKE == __LINE__
  // error: procpool: what is exposed has one list of parameters
  server.expose("f", [](auto x) { return x; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with the object
  server.expose(parse, [](int x) { return x; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with the object
  server.expose("f", [](std::string& changed) { changed += "x"; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: the number of arguments is wrong
  client.call(parse, "3", 4);
#endif
}
