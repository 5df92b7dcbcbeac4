#include "os/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

namespace procpool::os {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class socket_test : public ::testing::Test {
 protected:
  ~socket_test() override {
    pair_ = {};
    EXPECT_EQ(open_fd_count(), before_);
  }
  received_message receive(std::size_t size = 64) {
    buffer_.assign(size, std::byte{0});
    return receive_message(pair_.second.get(), buffer_, blocking::no);
  }

  int before_ = open_fd_count();
  socket_pair pair_ = make_socket_pair();
  std::vector<std::byte> buffer_;
};

TEST_F(socket_test, keeps_message_borders) {
  ASSERT_EQ(send_message(pair_.first.get(), bytes_of("one"), {}, blocking::no), 0);
  ASSERT_EQ(send_message(pair_.first.get(), bytes_of("three"), {}, blocking::no), 0);
  EXPECT_EQ(receive().size, 3);
  EXPECT_EQ(receive().size, 5);
  EXPECT_EQ(receive().size, -EAGAIN);
}

TEST_F(socket_test, both_ends_are_private_to_this_program) {
  for (const int fd : {pair_.first.get(), pair_.second.get()}) {
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_GT(fd, 2);
  }
}

TEST_F(socket_test, carries_descriptors) {
  const int fds[] = {pair_.first.get(), pair_.second.get()};
  ASSERT_EQ(send_message(pair_.first.get(), bytes_of("x"), fds, blocking::no), 0);
  const auto message = receive();
  ASSERT_EQ(message.fd_count, 2U);
  EXPECT_FALSE(message.fds_lost);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(::fcntl(message.fds[i].get(), F_GETFD), FD_CLOEXEC);
    EXPECT_GT(message.fds[i].get(), 2);
  }
}

TEST_F(socket_test, too_many_descriptors_are_not_sent) {
  const std::vector<int> fds(max_message_fds + 1, pair_.first.get());
  EXPECT_EQ(send_message(pair_.first.get(), bytes_of("x"), fds, blocking::no), -EMSGSIZE);
}

TEST_F(socket_test, descriptors_that_do_not_fit_are_reported_and_closed) {
  const std::vector<int> fds(4, pair_.first.get());
  ASSERT_EQ(send_message(pair_.first.get(), bytes_of("abc"), fds, blocking::no), 0);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit tight = old;
  const int lowest_free = duplicate_fd(pair_.first.get()).get();
  tight.rlim_cur = static_cast<rlim_t>(lowest_free + 2);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const auto message = receive();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(message.size, 3);
  EXPECT_TRUE(message.fds_lost);
  EXPECT_EQ(message.fd_count, 0U);
}

TEST_F(socket_test, a_message_that_is_too_long_is_an_error) {
  ASSERT_EQ(send_message(pair_.first.get(), bytes_of(std::string(100, 'x')), {}, blocking::no), 0);
  EXPECT_EQ(receive(10).size, -EMSGSIZE);
}

TEST_F(socket_test, a_dead_peer_is_an_end_and_no_signal) {
  pair_.first.reset();
  EXPECT_EQ(receive().size, 0);
  EXPECT_EQ(send_message(pair_.second.get(), bytes_of("x"), {}, blocking::no), -EPIPE);
}

TEST_F(socket_test, a_full_queue_does_not_block) {
  int error = 0;
  for (int i = 0; error == 0 && i < 100000; ++i) {
    error = send_message(pair_.first.get(), bytes_of("message"), {}, blocking::no);
  }
  EXPECT_EQ(error, -EAGAIN);
}

}  // namespace
}  // namespace procpool::os
