// The messages of managers: truncated, forged or oversized messages do no harm.
#include "manager/protocol.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <string>
#include <system_error>
#include <thread>

#include "os/local_socket.hpp"
#include "procpool/errors.hpp"

namespace procpool::manager_protocol {
namespace {

struct connection {
  os::unique_fd ours, theirs;
  connection() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
  }
};

void send_raw(const connection& c, const message_head& head, std::string_view bytes) {
  EXPECT_TRUE(os::send_all(c.ours.get(), std::as_bytes(std::span(&head, 1))));
  EXPECT_TRUE(os::send_all(c.ours.get(), std::as_bytes(std::span(bytes))));
}

TEST(protocol_test, a_message_arrives_as_it_was_sent) {
  connection c;
  detail::noting_writer bytes;
  bytes.write_value(std::uint64_t{17});
  message_head head;
  head.kind = message_kind::call;
  head.number = 4711;
  EXPECT_TRUE(send(c.ours.get(), head, bytes));
  message m;
  ASSERT_TRUE(receive(c.theirs.get(), m));
  EXPECT_EQ(m.head.kind, message_kind::call);
  EXPECT_EQ(m.head.number, 4711u);
  ASSERT_EQ(m.bytes.size(), 8u);
  // A request after `taken`, as it comes from a client that continues at once.
  EXPECT_TRUE(send(c.ours.get(), message_kind::taken));
  EXPECT_TRUE(send(c.ours.get(), head, bytes));
  EXPECT_TRUE(receive_taken(c.theirs.get()));
  ASSERT_TRUE(receive(c.theirs.get(), m));
  EXPECT_EQ(m.bytes.size(), 8u);
}

// More than arrives with the head, and more than the socket holds at once.
TEST(protocol_test, bytes_of_any_size) {
  for (const std::size_t size : {std::size_t{976}, std::size_t{977}, std::size_t{3} << 20U}) {
    connection c;
    detail::noting_writer bytes;
    const std::vector<char> sent(size, 'x');
    bytes.write(sent.data(), size);
    message m;
    {
      const std::jthread sender([&] { EXPECT_TRUE(send(c.ours.get(), message_head{}, bytes)); });
      ASSERT_TRUE(receive(c.theirs.get(), m));
    }
    ASSERT_EQ(m.bytes.size(), size);
    EXPECT_EQ(std::memcmp(m.bytes.data(), sent.data(), size), 0);
  }
}

TEST(protocol_test, a_second_message_before_the_answer) {
  connection c;
  send_raw(c, message_head{}, "more than there should be");
  message m;
  EXPECT_FALSE(receive(c.theirs.get(), m));
}

TEST(protocol_test, another_answer_than_taken) {
  message_head value, long_one;
  long_one.kind = message_kind::taken;
  long_one.length = 1;
  for (const message_head& head : {value, long_one}) {
    connection c;
    send_raw(c, head, "");
    EXPECT_FALSE(receive_taken(c.theirs.get()));
  }
}

TEST(protocol_test, truncated_messages) {
  for (const std::size_t sent : {std::size_t{0}, std::size_t{1}, std::size_t{47}}) {
    connection c;
    const message_head head;
    const auto bytes = std::as_bytes(std::span(&head, 1)).first(sent);
    EXPECT_TRUE(os::send_all(c.ours.get(), bytes));
    c.ours.reset();
    message m;
    EXPECT_FALSE(receive(c.theirs.get(), m));
  }
}

// Memory is taken as bytes arrive: a length alone costs nothing.
TEST(protocol_test, a_forged_length) {
  connection c;
  message_head head;
  head.length = std::uint64_t{1} << 39U;
  send_raw(c, head, "few");
  c.ours.reset();
  message m;
  EXPECT_FALSE(receive(c.theirs.get(), m));
  EXPECT_LE(m.bytes.capacity(), std::size_t{1} << 20U);
}

TEST(protocol_test, invalid_heads) {
  message_head magic, kind, zero, objects, length;
  magic.magic = 1;
  kind.kind = static_cast<message_kind>(6);
  zero.kind = static_cast<message_kind>(0);
  objects.names_objects = 2;
  length.length = ~std::uint64_t{0};
  for (const message_head& head : {magic, kind, zero, objects, length}) {
    connection c;
    send_raw(c, head, "");
    message m;
    EXPECT_FALSE(receive(c.theirs.get(), m));
  }
}

TEST(protocol_test, an_invalid_list_of_objects) {
  message m;
  m.head.names_objects = 1;
  std::size_t size = 0;
  EXPECT_THROW(adopt_objects(m, size), codec_error);
  m.bytes.assign(4, std::byte{0xff});
  EXPECT_THROW(adopt_objects(m, size), codec_error);
  m.bytes.assign(12, std::byte{});
  m.bytes[0] = m.bytes[8] = std::byte{1};  // one object, number 1, which does not exist
  EXPECT_THROW(adopt_objects(m, size), codec_error);
}

TEST(protocol_test, names_are_private_to_their_listener) {
  // The machine has one space of such names.
  const std::string name = "procpool-test-" + std::to_string(getpid());
  const os::unique_fd listener = os::listen_local(name);
  EXPECT_THROW(os::listen_local(name), std::system_error);
  const os::unique_fd client = os::connect_local(name);
  const os::unique_fd server = os::accept_local(listener.get());
  EXPECT_EQ(os::peer_user(server.get()), os::this_user());
  EXPECT_EQ(os::peer_pid(server.get()), getpid());
  EXPECT_FALSE(os::connect_local(name + "-nobody"));
}

}  // namespace
}  // namespace procpool::manager_protocol
