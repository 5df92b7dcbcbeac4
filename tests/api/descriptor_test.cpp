// The descriptor of a completion_queue: for event loops that are not ours.
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <numeric>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int echo(int x) { return x; }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

// Whether it becomes readable within the time.
bool readable(int fd, int milliseconds = 0) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, milliseconds) == 1;
}
constexpr int long_enough = 20'000;

class descriptor_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(descriptor_test);

TEST_P(descriptor_test, is_readable_as_long_as_there_is_something_to_take) {
  process_pool_executor pool(options(1));
  completion_queue<int> queue;
  tally gate;
  const int fd = queue.native_handle();
  EXPECT_EQ(queue.native_handle(), fd);
  EXPECT_FALSE(readable(fd)) << "nothing is outstanding";
  queue.add(pool.submit(wait_and_return, gate.path(), 1));
  EXPECT_FALSE(readable(fd));
  EXPECT_FALSE(queue.try_next());
  gate.add();
  EXPECT_TRUE(readable(fd, long_enough));
  EXPECT_TRUE(readable(fd)) << "until it is taken";
  EXPECT_EQ(queue.try_next().value().get(), 1);
  EXPECT_FALSE(readable(fd));
  EXPECT_FALSE(queue.try_next());
}

TEST_P(descriptor_test, earlier_completions_make_a_new_descriptor_readable) {
  process_pool_executor pool(options(1));
  completion_queue<int> queue;
  future<int> done = pool.submit(echo, 1);
  done.wait();
  queue.add(std::move(done));
  queue.add(pool.submit(echo, 2));
  EXPECT_TRUE(readable(queue.native_handle(), long_enough));
  EXPECT_EQ(queue.next().value().get(), 1) << "next works beside it";
  EXPECT_TRUE(readable(queue.native_handle(), long_enough));
  EXPECT_EQ(queue.try_next().value().get(), 2);
  EXPECT_FALSE(readable(queue.native_handle()));
}

TEST_P(descriptor_test, without_a_descriptor_try_next_looks_for_itself) {
  process_pool_executor pool(options(1));
  completion_queue<int> queue;
  queue.add(pool.submit(echo, 3));
  std::optional<future<int>> f;
  EXPECT_TRUE(eventually([&] { return (f = queue.try_next()).has_value(); }));
  EXPECT_EQ(f.value().get(), 3);
}

TEST_P(descriptor_test, an_event_loop) {
  process_pool_executor pool(options(2));
  completion_queue<int> queue;
  const int loop = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN | EPOLLET, {}};  // edges: it has to become unreadable in between
  ASSERT_EQ(epoll_ctl(loop, EPOLL_CTL_ADD, queue.native_handle(), &event), 0);
  int sum = 0;
  for (int i = 0; i < 200; ++i) queue.add(pool.submit(echo, i));
  for (int more = 200; !queue.empty();) {
    if (epoll_wait(loop, &event, 1, long_enough) != 1) break;
    while (auto f = queue.try_next()) {
      sum += f->get();
      if (more < 400) queue.add(pool.submit(echo, more++));
    }
  }
  close(loop);
  EXPECT_EQ(sum, 399 * 400 / 2);
}

TEST_P(descriptor_test, a_queue_ends_while_tasks_are_outstanding) {
  process_pool_executor pool(options(1));
  tally gate;
  {
    completion_queue<int> queue;
    queue.add(pool.submit(wait_and_return, gate.path(), 1));
    EXPECT_FALSE(readable(queue.native_handle()));
  }
  gate.add();
}

TEST_P(descriptor_test, a_worker_that_dies) {
  process_pool_executor pool(options(1));
  completion_queue<int> queue;
  const int fd = queue.native_handle();
  queue.add(pool.submit([](int x) -> int { std::_Exit(x); }, 3));
  EXPECT_TRUE(readable(fd, long_enough));
  EXPECT_THROW(queue.try_next().value().get(), worker_crashed);
}

}  // namespace
