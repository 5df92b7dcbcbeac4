#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "launch/start_server.hpp"
#include "os/detached_process.hpp"
#include "os/environment.hpp"
#include "os/error.hpp"
#include "os/file.hpp"
#include "os/program_start.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {
namespace {

// A library that the loader must load before all others, and its file, which stays open in the new
// process if the name refers to its descriptor.
struct preloaded_library {
  std::string name;  // empty: none
  os::unique_fd file;
};

// In a program whose main() is not hooked (a plug-in host, an interpreter) the hook of this library
// runs if the library is loaded before all others. Empty when the program has the hook.
preloaded_library library_to_preload() {
  if (runtime::has_hook()) return {};
  const std::string self = runtime::this_copy();
  if (!self.empty() && !os::exports(self, "__libc_start_main")) {
    throw error("procpool: " + self +
                " cannot be preloaded into a fork server, because it does not export "
                "__libc_start_main: name that under `global:` in its version script, link it "
                "without -Wl,--exclude-libs, or with libprocpool.so, or use start_method::fork");
  }
  if (self.empty()) {
    throw error(
        "procpool: this program cannot be executed again as a fork server, because nothing of "
        "procpool runs before its main(): call procpool::init(argc, argv) first thing in main(), "
        "or use start_method::fork");
  }
  os::unique_fd file = os::open_file(self.c_str(), false);
  // Without the library, the program's main() would run once more.
  if (!file) os::throw_errno(("cannot open the library " + self + " for the fork server").c_str());
  if (self.find_first_of(": ") == std::string::npos) return {self, {}};
  // Both characters separate names in the list of libraries to preload.
  if (!os::has_proc()) {
    throw error(
        "procpool: the name of the library " + self +
        " has a space or a colon, so that it can be preloaded into the fork server only by way of "
        "/proc, which is not mounted");
  }
  return {"/proc/self/fd/" + std::to_string(file.get()), std::move(file)};
}

// The current environment, which tasks see, except for the dynamic loader's variables: they are as
// at the start of this program.
class server_environment {
 public:
  server_environment(int server_end, int folder, const preloaded_library& library,
                     const shm::variables* changes) {
    const std::vector<std::string> first = os::initial_loader_variables();
    std::vector<std::string> now = os::environment();
    if (changes != nullptr) change(now, *changes);
    std::erase_if(now, [](const std::string& s) {
      return s.starts_with(runtime::server_variable) || s.starts_with(runtime::kept_variable);
    });
    const bool exchange = !library.name.empty() || loader_part(now) != first;
    for (std::string& s : now) {
      if (exchange && os::is_loader_variable(s)) s.insert(0, runtime::kept_variable);
      strings_.push_back(std::move(s));
    }
    if (exchange) strings_.insert(strings_.end(), first.begin(), first.end());
    if (!library.name.empty()) add_preload(library.name);
    std::string variable = runtime::server_variable + std::to_string(server_end) + ".";
    const std::size_t pid_at = variable.size();
    variable.append(os::pid_digits, '0');
    variable += "." + number_of(folder) + "." + number_of(library.file.get());
    variable += (exchange ? ".1." : ".0.") + runtime::this_copy();
    strings_.push_back(std::move(variable));
    for (std::string& s : strings_) pointers_.push_back(s.data());
    pointers_.push_back(nullptr);
    pid_text_ = strings_.back().data() + pid_at;
  }

  char* const* pointers() const { return pointers_.data(); }
  char* pid_text() const { return pid_text_; }

 private:
  static std::vector<std::string> loader_part(std::vector<std::string> all) {
    std::erase_if(all, [](const std::string& s) { return !os::is_loader_variable(s); });
    return all;
  }
  static void change(std::vector<std::string>& all, const shm::variables& changes) {
    for (const auto& [name, value] : changes) {
      const std::string prefix = name + "=";
      std::erase_if(all, [&](const std::string& s) { return s.starts_with(prefix); });
      if (value) all.push_back(prefix + *value);
    }
  }
  static std::string number_of(int fd) { return std::to_string(fd < 0 ? 0 : fd); }

  // Adds to the variables from the program's start.
  void add_preload(const std::string& library) {
    const std::string name = "LD_PRELOAD=";
    const auto old = std::find_if(strings_.begin(), strings_.end(),
                                  [&](const std::string& s) { return s.starts_with(name); });
    if (old == strings_.end()) {
      strings_.push_back(name + library);
    } else {
      *old = name + library + ":" + old->substr(name.size());
    }
  }

  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
  char* pid_text_ = nullptr;
};

std::vector<std::string> server_arguments() {
  // "ld.so [options] program" if the program was started like that: /proc/self/exe is ld.so then.
  std::vector<std::string> arguments = os::loader_command();
  if (arguments.empty()) arguments.push_back(os::first_argument());
  arguments.emplace_back("--procpool-server");  // for readers of ps
  return arguments;
}

// Without the environment the new process would not know that it is a server, and run main() again.
void check_rights(const std::string& program) {
  if (!os::would_distrust_environment(program.c_str())) return;
  throw error(
      "procpool: this program cannot be executed again as a fork server, because it would have "
      "other rights than this process (a set-user-ID or set-group-ID program, one with file "
      "capabilities, or a process whose effective user or group is not the real one), and then its "
      "environment is ignored: make the pool before rights are changed, or use "
      "start_method::fork");
}

[[noreturn]] void throw_not_executed(int error_number, const std::string& program) {
  std::string what = "cannot execute the program again (" + program + ")";
  if (error_number == ENOENT && !os::has_proc()) {
    what += ": /proc is not mounted here, and the program's file is not there under that name";
  } else if (error_number == EACCES || error_number == EPERM) {
    what += ": its file may be on a file system that is mounted noexec, or a filter forbids it";
  } else if (error_number == E2BIG) {
    what += ": the environment is too large";
  }
  os::throw_error(error_number, what.c_str());
}

}  // namespace

pid_t start_by_exec(int server_end, const shm::variables* changes) {
  const std::string program = os::program_file();
  check_rights(program);
  check_pid_namespace();
  const preloaded_library library = library_to_preload();
  const std::string folder = os::initial_folder_if_needed();
  const os::unique_fd way_back = folder.empty() ? os::unique_fd() : os::open_working_folder();
  const server_environment variables(server_end, way_back.get(), library, changes);
  std::vector<std::string> arguments = server_arguments();
  std::vector<char*> argument_pointers;
  argument_pointers.reserve(arguments.size() + 1);
  for (std::string& s : arguments) argument_pointers.push_back(s.data());
  argument_pointers.push_back(nullptr);

  os::exec_request request;
  request.path = program.c_str();
  request.argv = argument_pointers.data();
  request.envp = variables.pointers();
  request.pid_text = variables.pid_text();
  request.inherited_fd = server_end;
  request.further_fds[0] = way_back.get();
  request.further_fds[1] = library.file.get();
  // Only with a way back: a directory that cannot be opened could not be returned to.
  if (way_back) request.folder = folder.c_str();
  const os::detached_process server = os::spawn_detached(request);
  if (server.error != 0) throw_not_executed(server.error, program);
  return server.pid;
}

}  // namespace procpool::launch
