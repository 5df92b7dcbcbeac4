// The hook around main(): makes a program that is executed again a fork server, without a line of
// code in its main().
//
// The first code of an executable (_start) passes main to __libc_start_main of the C library.
// procpool defines a function of that name, which is found first: in the executable, if procpool is
// a static library (the linker takes it from the archive because _start needs the symbol), or in
// libprocpool.so, which comes before libc.so in the search. It passes a main function of its own on
// to the C library's. So constructors run as in any start of the program, and main() does not.
//
// Where several copies of procpool are in the process, the hook of each calls the next, and the
// copy that the environment variable names becomes the server (see runtime/process_role.hpp).
//
// The function is weak: in a fully static program the C library's own definition wins, and main()
// is not hooked; the program calls procpool::init() instead.

#include <cstdlib>

#include "child/child_image.hpp"
#include "child/run_child.hpp"
#include "launch/worker_context.hpp"
#include "main/become_server.hpp"
#include "os/environment.hpp"
#include "os/program_start.hpp"
#include "procpool/export.hpp"
#include "runtime/process_role.hpp"
#include "worker/run.hpp"

namespace procpool::launch {
namespace {

void enter(const worker_context& context) {
  if (shm::names_child(context.argument)) {
    worker::run_child(context);
  } else {
    worker::run(context);
  }
}

}  // namespace

// Defined in the hook's file, so that the hook is linked into each program that starts workers.
const worker_entry bound_worker_entry = &enter;

}  // namespace procpool::launch

namespace {

using main_function = int (*)(int, char**, char**);
using start_function = int (*)(main_function, int, char**, void (*)(), void (*)(), void (*)(),
                               void*);

constinit main_function users_main = nullptr;

// Where the hook is linked, the whole library is.
[[gnu::used]] void (*const all_parts)(procpool::parent::pool&) =
    &procpool::main_hook::name_all_parts;

#if defined(__clang__)
// main may have fewer parameters than this call passes, as C permits.
__attribute__((no_sanitize("function")))
#endif
int main_or_server(int argc, char** argv, char** envp) {
  procpool::main_hook::become_server_if_asked();
  return users_main(argc, argv, envp);
}

}  // namespace

extern "C" PROCPOOL_EXPORT __attribute__((weak)) int __libc_start_main(
    main_function program_main, int argc, char** argv, void (*init)(), void (*fini)(),
    void (*loader_fini)(), void* stack_end);

// The real function is compiled as C, and has no type information for the sanitizer to compare.
__attribute__((no_sanitize("undefined"))) int __libc_start_main(main_function program_main,
                                                                int argc, char** argv,
                                                                void (*init)(), void (*fini)(),
                                                                void (*loader_fini)(),
                                                                void* stack_end) {
  users_main = program_main;
  procpool::os::note_program_start();
  // Determined here, before the constructors of the executable: an executor in static storage can
  // then start its fork server, or knows that this process is one.
  procpool::runtime::current_role();
  procpool::runtime::note_hook();
  const auto real =
      reinterpret_cast<start_function>(procpool::os::next_symbol("__libc_start_main"));
  if (real == nullptr) std::abort();  // no C library: nothing could run
  return real(main_or_server, argc, argv, init, fini, loader_fini, stack_end);
}
