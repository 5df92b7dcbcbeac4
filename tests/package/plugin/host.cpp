// A program that knows nothing of procpool and loads a plug-in that does: host <plug-in> <start
// method>. Exits with what the plug-in's function returns.

#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  void* const run = plugin != nullptr ? dlsym(plugin, "run_pool") : nullptr;
  if (run == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 65;
  }
  return reinterpret_cast<int (*)(const char*)>(run)(argv[2]);
}
