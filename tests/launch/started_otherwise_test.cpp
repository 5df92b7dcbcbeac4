// Programs that are executed again under other circumstances than they were started: what they were
// started with is found again, or the message says what is in the way.
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool::testing;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr int cannot_change = 77;
const fs::path program = PROCPOOL_TEST_PROGRAMS_DIR "/started_otherwise";
const fs::path library_folder = PROCPOOL_TEST_LIBRARY_FOLDER;  // of the program's one library
const std::string library_name = "liblaunch_dependency.so";

struct start {
  fs::path file;
  std::vector<std::string> arguments;         // from the first after the program's name
  std::vector<std::string> environment = {};  // and nothing else
  fs::path folder = "/";
  std::string name = "program";  // argv[0]
};

struct ended {
  int status = -1;
  std::string said;  // on both streams
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (std::string& s : strings) all.push_back(s.data());
  all.push_back(nullptr);
  return all;
}

ended run(start s) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  std::vector<std::string> arguments = std::move(s.arguments);
  arguments.insert(arguments.begin(), s.name);
  const std::vector<char*> argv = pointers(arguments);
  // Where a sanitizer's options say how it ends a program.
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = getenv(name)) s.environment.push_back(std::string(name) + "=" + value);
  }
  const std::vector<char*> envp = pointers(s.environment);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    if (chdir(s.folder.c_str()) == 0) execve(s.file.c_str(), argv.data(), envp.data());
    _exit(126);
  }
  close(ends[1]);
  ended result;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    result.said.append(buffer, static_cast<std::size_t>(n));
  }
  close(ends[0]);
  waitpid(child, &result.status, 0);
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class temporary_folder {
 public:
  temporary_folder() {
    std::string path = (fs::temp_directory_path() / "procpool-started-XXXXXX").string();
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    path_ = path;
  }
  ~temporary_folder() { fs::remove_all(path_); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const std::vector<std::string> all_changes = {"none",  "unset", "other",          "preload",
                                              "clear", "title", "no_environment", "folder"};

class started_otherwise_test : public ::testing::Test {
 protected:
  static std::string path_variable(const fs::path& folder) {
    return "LD_LIBRARY_PATH=" + folder.string();
  }
  static void expect_works(const start& s) {
    const ended e = run(s);
    if (WIFEXITED(e.status) && WEXITSTATUS(e.status) == cannot_change) {
      GTEST_SKIP() << "the system does not allow it";
    }
    EXPECT_EQ(e.status, 0);
    EXPECT_EQ(e.said, "works\n") << ::testing::PrintToString(s.arguments);
  }
  static void expect_message(const start& s, const std::string& part) {
    const ended e = run(s);
    if (WIFEXITED(e.status) && WEXITSTATUS(e.status) == cannot_change) {
      GTEST_SKIP() << "the system does not allow it";
    }
    EXPECT_EQ(e.status, 0);
    EXPECT_TRUE(contains(e.said, part)) << e.said;
  }

 private:
  watchdog watchdog_{55s};
};

TEST_F(started_otherwise_test, libraries_are_found_by_the_path_of_the_start) {
  for (const std::string& change : all_changes) {
    for (const char* method : {"spawn", "forkserver"}) {
      expect_works({program, {method, change}, {path_variable(library_folder)}});
    }
  }
}

TEST_F(started_otherwise_test, a_relative_path_of_the_start) {
  const fs::path folder = library_folder.parent_path();
  for (const std::string& change : all_changes) {
    expect_works({program, {"spawn", change}, {path_variable(library_folder.filename())}, folder});
  }
}

TEST_F(started_otherwise_test, a_relative_path_in_the_program) {
  for (const std::string& change : all_changes) {
    expect_works({program, {"spawn", change}, {}, library_folder.parent_path()});
  }
}

TEST_F(started_otherwise_test, a_preloaded_library) {
  const fs::path folder = library_folder.parent_path();
  const std::string name = (library_folder.filename() / library_name).string();
  for (const std::string& change : all_changes) {
    expect_works({program, {"spawn", change}, {"LD_PRELOAD=./" + name}, folder});
  }
}

std::string loader() {
  std::string name;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_INTERP) continue;
          *static_cast<std::string*>(result) =
              reinterpret_cast<const char*>(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
        return 1;
      },
      &name);
  return name;
}

TEST_F(started_otherwise_test, by_way_of_the_loader) {
  const fs::path folder = library_folder.parent_path();
  const fs::path relative = fs::relative(program, folder);
  for (const std::string change : {"none", "clear", "folder", "title", "folder_and_title"}) {
    expect_works({loader(),
                  {"--library-path", library_folder.filename(), relative, "spawn", change},
                  {},
                  folder});
    expect_works({loader(),
                  {"--argv0", "a name", "--inhibit-cache", program, "forkserver", change},
                  {path_variable(library_folder)}});
  }
}

TEST_F(started_otherwise_test, under_any_name) {
  const temporary_folder temporary;
  for (const std::string name : {"a b", "a:b", "a\nb", "a (deleted)", "$ORIGIN", "ü"}) {
    const fs::path folder = temporary.path() / name;
    fs::create_directory(folder);
    fs::copy_file(program, folder / name);
    expect_works({folder / name, {"spawn", "none"}, {path_variable(library_folder)}});
    expect_works(
        {folder / name, {"spawn", "replace", folder / name}, {path_variable(library_folder)}});
  }
  expect_works({program, {"spawn", "none"}, {path_variable(library_folder)}, "/", ""});
}

TEST_F(started_otherwise_test, a_variable_for_another_process_is_no_matter) {
  for (const char* change : {"none", "stale_variable"}) {
    expect_works(
        {program, {"spawn", change}, {"PROCPOOL_SERVER=5.1.0.0.0", path_variable(library_folder)}});
  }
}

TEST_F(started_otherwise_test, a_library_that_is_gone) {
  const temporary_folder temporary;
  const fs::path copy = temporary.path() / library_name;
  fs::copy_file(library_folder / library_name, copy);
  expect_message({program, {"spawn", "unlink", copy}, {path_variable(temporary.path())}},
                 "shared librar");
}

TEST_F(started_otherwise_test, a_constructor_that_ends_the_program) {
  expect_message({program, {"spawn", "constructor"}, {path_variable(library_folder)}},
                 "a constructor of a static object may have ended the program");
}

TEST_F(started_otherwise_test, without_proc) {
  expect_works({program, {"spawn", "no_proc"}, {path_variable(library_folder)}});
}

TEST_F(started_otherwise_test, a_copy_without_proc) {
  expect_message({program, {"fork", "no_proc"}, {path_variable(library_folder)}},
                 "/proc is not mounted");
}

TEST_F(started_otherwise_test, a_pid_namespace_for_children) {
  expect_message({program, {"spawn", "pid_namespace"}, {path_variable(library_folder)}},
                 "unshare(CLONE_NEWPID)");
}

TEST_F(started_otherwise_test, another_effective_user) {
  expect_message({program, {"spawn", "effective_user"}, {path_variable(library_folder)}},
                 "effective user");
}

// A program that knows nothing of the library, and loads a plug-in whose folder has a name that
// cannot be in a list of libraries to preload.
TEST_F(started_otherwise_test, a_plug_in_below_an_odd_folder) {
  const temporary_folder temporary;
  const fs::path odd = temporary.path() / "a plug-in: here";
  fs::create_directory(odd);
  fs::copy_file(PROCPOOL_TEST_PLUGIN, odd / "plugin.so");
  // For a build in which the library is one of its own: it is what is preloaded.
  const fs::path spaced = temporary.path() / "a folder";
  fs::create_directory(spaced);
  for (const auto& entry : fs::directory_iterator(PROCPOOL_TEST_OWN_LIBRARY_FOLDER)) {
    if (contains(entry.path().filename(), "libprocpool.so")) {
      fs::copy(entry.path(), spaced / entry.path().filename());
    }
  }
  for (const std::string method : {"spawn", "forkserver", "fork"}) {
    for (const fs::path& folder : {fs::path("/"), odd}) {
      const fs::path name = folder == odd ? fs::path("./plugin.so") : odd / "plugin.so";
      const ended e =
          run({PROCPOOL_TEST_PLUGIN_HOST, {method, name}, {path_variable(spaced)}, folder});
      EXPECT_EQ(e.status, 0) << method << ": " << e.said;
      EXPECT_FALSE(contains(e.said, "plug-in 1:")) << e.said;  // how it begins what it complains of
    }
  }
}

}  // namespace
