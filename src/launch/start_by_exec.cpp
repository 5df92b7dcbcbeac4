#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "launch/role.hpp"
#include "launch/start_server.hpp"
#include "os/environment.hpp"
#include "os/error.hpp"
#include "os/orphan.hpp"
#include "procpool/errors.hpp"

namespace procpool::launch {
namespace {

// A program whose main() is not hooked (a plug-in host, an interpreter) runs our library's hook
// when the library is loaded before everything else. Empty when the program has the hook.
std::string library_to_preload() {
  if (has_hook()) return {};
  const std::string self = this_copy();
  if (!self.empty() && os::exports(self, "__libc_start_main") &&
      self.find_first_of(": ") == std::string::npos) {
    return self;
  }
  throw error(
      "procpool: this program cannot be executed again as a fork server, because nothing of "
      "procpool "
      "runs before its main(): call procpool::init(argc, argv) first thing in main(), or use "
      "start_method::fork");
}

class server_environment {
 public:
  server_environment(int server_end, const std::string& preload) : strings_(os::environment()) {
    std::string variable = server_variable + std::to_string(server_end) + ".";
    const std::size_t pid_at = variable.size();
    variable.append(os::pid_digits, '0');
    variable += '.';
    if (!preload.empty()) {
      variable += 'p';
      add_preload(preload);
    }
    variable += '.' + this_copy();
    strings_.push_back(std::move(variable));
    for (std::string& s : strings_) pointers_.push_back(s.data());
    pointers_.push_back(nullptr);
    pid_text_ = strings_.back().data() + pid_at;
  }

  char* const* pointers() const { return pointers_.data(); }
  char* pid_text() const { return pid_text_; }

 private:
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

}  // namespace

pid_t start_by_exec(int server_end) {
  const server_environment variables(server_end, library_to_preload());
  std::string name = os::first_argument();
  std::string note = "--procpool-server";  // for people who look at ps
  char* const arguments[] = {name.data(), note.data(), nullptr};

  os::exec_request request;
  const std::string program = os::program_file();
  request.path = program.c_str();
  request.argv = arguments;
  request.envp = variables.pointers();
  request.pid_text = variables.pid_text();
  request.inherited_fd = server_end;
  const os::orphan server = os::exec_orphan(request);
  if (server.error != 0) os::throw_error(server.error, "cannot execute the program again");
  return server.pid;
}

}  // namespace procpool::launch
