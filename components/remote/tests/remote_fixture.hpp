// What the tests of remote managers share: servers with functions and objects, and their clients.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "procpool/procpool.hpp"
#include "procpool/remote.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace procpool::testing {

inline const std::string key = "a key of the tests, 32 bytes or so";

inline long add(long& sum, long x) { return sum += x; }

// A folder for the sockets of one test.
class remote_test : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();
    manager m;
    m.make<long>(1).call(add, 1);
    remote_server server({.address = "127.0.0.1:0", .key = key});  // OpenSSL has begun
    server.start();
    const remote_client client({.address = server.address(), .key = key});
    leak_free_test::SetUp();
    folder_ = ::testing::TempDir() + "procpool-remote-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    leak_free_test::TearDown();
  }
  std::string path() const { return folder_ + "/socket"; }
  remote_server make_server() const { return remote_server({.address = path(), .key = key}); }
  remote_client make_client() const { return remote_client({.address = path(), .key = key}); }

 private:
  std::string folder_;
};

inline constexpr remote_function<double(double, double)> product{"product"};
inline constexpr remote_function<std::size_t(std::string_view)> length{"length"};

struct point {
  int x, y;
  friend bool operator==(const point&, const point&) = default;
};
inline point mirrored(point p) { return {p.y, p.x}; }

inline void expose_all(remote_server& server) {
  server.expose(product, [](double a, double b) { return a * b; });
  server.expose(length, [](std::string_view s) { return s.size(); });
  server.expose<&mirrored>("mirrored");
  server.expose(
      "sum", [](std::span<const int> all) { return std::accumulate(all.begin(), all.end(), 0); });
  server.expose("fail", [](const std::string& text) { throw std::out_of_range(text); });
  server.expose("unknown", [] {
    struct unknown {};
    throw unknown();
  });
  server.expose("take", [](std::unique_ptr<int> p) { return p; });
  server.expose("pid", [] { return getpid(); });
}

inline void call_all(const remote_client& client) {
  EXPECT_EQ(client.call(product, 2, 3.5f), 7.0);  // converted
  EXPECT_EQ(client.call(length, "four"), 4u);
  EXPECT_EQ(client.call<point>("mirrored", point{1, 2}), (point{2, 1}));
  EXPECT_EQ(client.call<int>("sum", std::vector{1, 2, 3}), 6);
  EXPECT_EQ(*client.call<std::unique_ptr<int>>("take", std::make_unique<int>(5)), 5);
  EXPECT_EQ(client.call(length, std::string(5'000'000, 'x')), 5'000'000u);
  EXPECT_EQ(client.call<pid_t>("pid"), getpid());
  EXPECT_THROW(client.call<void>("unknown"), remote_error);
  try {
    client.call<void>("fail", "no such thing");
    FAIL();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "no such thing");
  }
}

class account {
 public:
  explicit account(long sum, std::string ends = {}) : sum_(sum), ends_(std::move(ends)) {}
  account(const account&) = delete;
  account& operator=(const account&) = delete;
  ~account() {
    if (!ends_.empty()) add_to_tally(ends_);
  }
  long pay(long x) {
    const long old = sum_;
    std::this_thread::yield();
    return sum_ = old + x;  // torn, if two were here at once
  }
  long sum() const { return sum_; }

 private:
  long sum_;
  std::string ends_;
};
inline constexpr remote_function<long(long)> pay{"pay"};

inline void expose_accounts(remote_server& server, const std::shared_ptr<account>& shared) {
  server.type<account>("account")
      .constructor<long>()
      .constructor<long, std::string>()
      .method(pay, &account::pay)
      .method("sum", &account::sum)
      .method("wait", [](account&, const std::string& a,
                         const std::string& g) { return arrive_and_wait(a, g, 7); })
      .object("shared", shared);
}

}  // namespace procpool::testing
