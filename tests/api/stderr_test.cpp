// pool_options::capture_stderr: the last words of a worker, and all of them where they belong.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "os/pipe.hpp"
#include "os/unique_fd.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int say(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  return 0;
}
int say_and_die(const std::string& text) {
  say(text);
  std::_Exit(3);
}
int fail_loudly(int x) {
  // What assert() does, also in a build without it.
  if (x <= 0) {
    say("measure.c:7: fail_loudly: Assertion `x > 0' failed.\n");
    std::abort();
  }
  return x;
}
void fail() { throw std::runtime_error("nobody catches this"); }
int throw_out_of_noexcept() {
  const auto f = []() noexcept { fail(); };
  f();
  return 0;
}
int say_much(const std::string& line, int times) {
  for (int i = 0; i < times; ++i) say(line);
  return times;
}
int say_from_a_child(const std::string& text) {
  return std::system(("echo " + text + " >&2").c_str());
}

// Standard error of this process, for as long as it lives.
class redirected {
 public:
  explicit redirected(int to) : before_(os::duplicate_fd(2)) {
    if (to >= 0) {
      ::dup2(to, 2);
    } else {
      ::close(2);
    }
  }
  ~redirected() { ::dup2(before_.get(), 2); }

 private:
  os::unique_fd before_;
};

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class stderr_test : public pool_test {
 protected:
  pool_options capturing(int workers) const {
    pool_options o = options(workers);
    o.capture_stderr = true;
    return o;
  }
  template <class F, class... Args>
  static std::string tail_of(process_pool_executor& pool, F f, Args... args) {
    try {
      pool.submit(f, args...).get();
    } catch (const task_killed& e) {
      return e.stderr_tail();
    }
    return "it did not die";
  }
  // A file that standard error goes to meanwhile.
  tally file_;
  os::unique_fd fd_{::open(file_.path().c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)};
};
PROCPOOL_FOR_EACH_START_METHOD(stderr_test);

TEST_P(stderr_test, the_last_output_of_a_worker) {
  const redirected quiet(fd_.get());
  process_pool_executor pool(capturing(1));
  EXPECT_EQ(tail_of(pool, say_and_die, std::string("disk on fire\n")), "disk on fire\n");
  EXPECT_THAT(tail_of(pool, fail_loudly, 0), ::testing::HasSubstr("Assertion `x > 0' failed"));
  EXPECT_THAT(tail_of(pool, throw_out_of_noexcept), ::testing::HasSubstr("nobody catches this"));
  // A new worker has said nothing.
  EXPECT_EQ(tail_of(pool, say_and_die, std::string()), "");
  // At most 4 KiB, the end of it, also from earlier tasks.
  pool.submit(say, std::string(10000, 'a')).get();
  EXPECT_EQ(tail_of(pool, say_and_die, std::string(96, 'z')),
            std::string(4000, 'a') + std::string(96, 'z'));
}

TEST_P(stderr_test, a_death_report_has_the_output_of_its_worker_only) {
  const redirected quiet(fd_.get());
  std::promise<std::string> reported;
  pool_options o = capturing(2);
  o.on_worker_death = [&](const task_killed& t) { reported.set_value(t.stderr_tail()); };
  process_pool_executor pool(o);
  tally arrived, gate;
  future<int> other = pool.submit(arrive_and_wait, arrived.path(), gate.path(), 1);
  EXPECT_EQ(tail_of(pool, say_and_die, std::string("one")), "one");
  EXPECT_EQ(reported.get_future().get(), "one");
  gate.add();
  EXPECT_EQ(other.get(), 1);
}

TEST_P(stderr_test, nothing_is_captured_without_the_option) {
  const redirected quiet(fd_.get());
  process_pool_executor pool(options(1));
  EXPECT_EQ(tail_of(pool, say_and_die, std::string("directly")), "");
  // The server of start_method::forkserver may be older than this redirection.
  if (GetParam() != start_method::forkserver) {
    EXPECT_EQ(contents(file_.path()), "directly");
  }
}

TEST_P(stderr_test, everything_arrives_in_the_order_of_each_worker) {
  const std::string a(99, 'a'), b(99, 'b');
  {
    const redirected quiet(fd_.get());
    process_pool_executor pool(capturing(2));
    future<int> f = pool.submit(say_much, a + "\n", 3000),
                g = pool.submit(say_much, b + "\n", 3000);
    EXPECT_EQ(pool.submit(say_from_a_child, "child").get(), 0);
    EXPECT_EQ(f.get() + g.get(), 6000);
  }
  const std::string all = contents(file_.path());
  EXPECT_EQ(all.size(), 600000u + 6u);
  EXPECT_EQ(std::count(all.begin(), all.end(), 'a'), 99 * 3000);
  EXPECT_EQ(std::count(all.begin(), all.end(), 'b'), 99 * 3000);
  EXPECT_NE(all.find("child\n"), std::string::npos);
}

void fail_at_the_end() { throw std::runtime_error("the lock file is gone"); }

TEST_P(stderr_test, the_exception_of_a_finalizer_is_printed) {
  {
    const redirected quiet(fd_.get());
    pool_options o = capturing(1);
    o.finalizer = fail_at_the_end;
    process_pool_executor pool(o);
    EXPECT_EQ(pool.submit([](int x) { return x; }, 5).get(), 5);
  }
  EXPECT_EQ(contents(file_.path()),
            "procpool: the finalizer of a worker failed: the lock file is gone\n");
}

TEST_P(stderr_test, a_slow_reader_blocks_only_workers_that_write) {
  os::pipe_ends slow = os::try_make_pipe();
  process_pool_executor pool(capturing(2));
  std::size_t arrived = 0;
  {
    const redirected to_nobody(slow.writer.get());
    slow.writer.reset();
    future<int> writer = pool.submit(say_much, std::string(1000, 'x'), 2000);
    // The other worker works, dies and is replaced.
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(tail_of(pool,
                        [] {
                          std::_Exit(4);
                          return 0;
                        }),
                "");
    EXPECT_EQ(pool.submit([](int x) { return x; }, 5).get(), 5);
    EXPECT_FALSE(writer.done());
    std::thread reader([&] {
      char buffer[65536];
      while (arrived < 2'000'000) {
        const ssize_t n = ::read(slow.reader.get(), buffer, sizeof(buffer));
        if (n <= 0) break;
        arrived += static_cast<std::size_t>(n);
      }
    });
    EXPECT_EQ(writer.get(), 2000);
    reader.join();
  }
  EXPECT_EQ(arrived, 2'000'000u);
}

TEST_P(stderr_test, standard_error_without_a_reader_or_closed) {
  os::pipe_ends broken = os::try_make_pipe();
  broken.reader.reset();
  for (const int to : {broken.writer.get(), -1}) {
    process_pool_executor pool(capturing(1));
    const redirected away(to);
    EXPECT_EQ(pool.submit(say_much, std::string(1000, 'x'), 1000).get(), 1000);
    EXPECT_EQ(tail_of(pool, say_and_die, std::string("the end")).substr(4096 - 7), "the end");
  }
}

}  // namespace
