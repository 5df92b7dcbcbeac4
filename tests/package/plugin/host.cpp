// A program that loads plug-ins which use procpool: host <start method> [how] <plug-in>...
// Built with HOST_USES_PROCPOOL it has pools of its own, before, meanwhile and afterwards. How:
// `global`, so that the functions of what follows are found for all; `removed`, without a file once
// it is loaded; `replaced`, with an empty file in its place. Exits with 0 if all goes well.

#include <dlfcn.h>

#include <cstdio>
#include <string_view>

#ifdef HOST_USES_PROCPOOL
#include <optional>
#include <procpool/procpool.hpp>

namespace {

int add_one(int x) { return x + 1; }

class own_pool {
 public:
  explicit own_pool(std::string_view method) {
    // Its thread would be a stranger to the copy of a plug-in, which could not fork then.
    if (method != "fork") pool_.emplace(procpool::pool_options{.max_workers = 1});
  }
  bool works() {
    if (pool_) return pool_->submit(add_one, 1).get() == 2;
    procpool::process_pool_executor pool({.max_workers = 1, .start = procpool::start_method::fork});
    return pool.submit(add_one, 1).get() == 2;
  }

 private:
  std::optional<procpool::process_pool_executor> pool_;
};

}  // namespace
#else
namespace {

struct own_pool {
  explicit own_pool(std::string_view) {}
  static bool works() { return true; }
};

}  // namespace
#endif

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  const char* const method = argv[1];
  std::string_view how;
  own_pool own(method);
  if (!own.works()) return 65;
  for (int i = 2; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "global" || argument == "removed" || argument == "replaced") {
      how = argument;
      continue;
    }
    const bool is_local = how != "global";
    void* const plugin = dlopen(argv[i], RTLD_NOW | (is_local ? RTLD_LOCAL : RTLD_GLOBAL));
    void* const run = plugin != nullptr ? dlsym(plugin, "run_pool") : nullptr;
    if (run == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 66;
    }
    if (how == "removed" || how == "replaced") std::remove(argv[i]);
    if (how == "replaced") std::fclose(std::fopen(argv[i], "w"));
    if (reinterpret_cast<int (*)(const char*, int)>(run)(method, is_local) != 0) return 67;
    if (!own.works()) return 68;
  }
}
