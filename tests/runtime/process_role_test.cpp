#include "runtime/process_role.hpp"

#include "launch/harness.hpp"
#include "os/environment.hpp"

namespace procpool::testing {
namespace {

// What a static executor would see: recorded in this program and in each that it is executed as.
const runtime::process_role role_in_a_constructor = runtime::current_role();

void report_role(const launch::worker_context& context) {
  os::mapping region = os::mapping::shared(context.region_fd, 0, os::file_size(context.region_fd));
  note& out = reinterpret_cast<note*>(region.data())[context.id.seat];
  out.value = static_cast<std::uint64_t>(role_in_a_constructor);
  out.done = static_cast<std::uint64_t>(runtime::current_role());
}

TEST(role_test, the_role_is_known_before_constructors_run) {
  EXPECT_EQ(role_in_a_constructor, runtime::process_role::parent);
  EXPECT_TRUE(runtime::has_hook());
  {
    const test_pool its_master_stays(start_method::forkserver);
  }
  begin_leak_check();
  // An executed server's constructors ran as a server's; a forked one has those of the parent.
  for (const auto& [method, expected] :
       {std::pair(start_method::spawn, runtime::process_role::fork_server),
        std::pair(start_method::forkserver, runtime::process_role::fork_server),
        std::pair(start_method::fork, runtime::process_role::parent)}) {
    test_pool pool(method);
    pool.run(make_job(job::leave));
    EXPECT_EQ(pool.at(0).value, static_cast<std::uint64_t>(expected));
    EXPECT_EQ(pool.at(0).done, static_cast<std::uint64_t>(runtime::process_role::worker));
  }
}

const bool reporting = (launch::set_worker_entry(report_role), true);

TEST(role_test, a_variable_for_another_process_means_nothing) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setenv("PROCPOOL_SERVER", "5.1..", 1);  // of process 1
    ::execl("/proc/self/exe", "role_test", "--gtest_filter=role_test.a_program_stays_a_program",
            nullptr);
    ::_exit(127);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(role_test, a_program_stays_a_program) {
  EXPECT_EQ(runtime::current_role(), runtime::process_role::parent);
  EXPECT_EQ(::getenv("PROCPOOL_SERVER"), nullptr);
}

}  // namespace
}  // namespace procpool::testing
