// A program that root starts and that becomes another user while its processes and managers run:
// dropped_rights. Prints what is wrong; 0 if nothing is, and where it may not change its user.
#include <grp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "procpool/procpool.hpp"
#include "support/names.hpp"

namespace {

using namespace procpool;
using namespace std::chrono_literals;

constexpr uid_t nobody = 65534, somebody_else = 65533;
int wrong = 0;

void expect(bool right, const char* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  ++wrong;
}

void become(uid_t user) {
  if (setgroups(0, nullptr) != 0 || setgid(user) != 0 || setuid(user) != 0) _exit(2);
}

void wait_for_ever() {
  for (;;) pause();
}

long add(long& sum, long x) { return sum += x; }

void add_as(uid_t user, const proxy<long>& sum) {
  become(user);
  sum.call(add, 1);
}

std::string text_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const manager_lost_error& e) {
    return e.what();
  }
  return "";
}

// Another user listens under the name of a manager that is dead.
void impostor(const std::string& name, const shared_value<std::atomic<int>>& state) {
  become(somebody_else);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0) _exit(3);
  if (listen(listener, 8) != 0) _exit(3);
  state->store(1);
  const int guest = accept(listener, nullptr, nullptr);
  char secret[16];
  if (recv(guest, secret, sizeof(secret), 0) > 0) state->store(2);
  wait_for_ever();
}

void check_impostor() {
  manager m;
  const auto sum = m.make<long>(0);
  const std::string name = testing::socket_name_of_manager(m.pid());
  ::kill(m.pid(), SIGKILL);
  m.shutdown();
  const shared_value<std::atomic<int>> state(0);
  const process p(impostor, name, state);
  while (*state == 0 && p.is_alive()) std::this_thread::sleep_for(1ms);
  const std::string text = text_of([&] { sum.call(add, 1); });
  expect(*state != 0, "an impostor listens");
  expect(text.find("another user") != text.npos, "a call tells that an impostor listens");
  p.kill();
  p.join();
  expect(*state != 2, "an impostor hears the secret");
}

void check_after_drop(const manager& m, const proxy<long>& sum, const proxy<long>& other) {
  // A new connection, since this one is busy.
  const shared_value<std::atomic<int>> state(0);
  std::thread busy([&] {
    sum.call(
        [](long& s, const shared_value<std::atomic<int>>& phase) {
          phase->store(1);
          while (*phase == 1) std::this_thread::sleep_for(1ms);
          ++s;
        },
        state);
  });
  while (*state == 0) std::this_thread::sleep_for(1ms);
  expect(other.call(add, 1) == 1, "a new connection");
  state->store(2);
  busy.join();
  expect(m.is_alive(), "the manager is alive");
  const process as_nobody(add_as, nobody, sum);
  const process as_another(add_as, somebody_else, sum);
  expect(as_nobody.join_for(20s) && as_nobody.exit_code() == 0, "a client that drops its rights");
  expect(as_another.join_for(20s) && as_another.exit_code() == 0, "a client that is another user");
  expect(sum.call(add, 0) == 3, "all calls ran");
}

void check_signals(const process& killed, const process& ended) {
  killed.kill();
  expect(killed.join_for(20s) && killed.exit_code() == -SIGKILL, "kill()");
  ended.terminate();
  expect(ended.join_for(20s) && ended.exit_code() == -SIGTERM, "terminate()");
}

}  // namespace

int main() {
  alarm(100);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const process killed(wait_for_ever), ended(wait_for_ever);
  manager before;
  const auto sum = before.make<long>(0), other = before.make<long>(0);
  if (setgroups(0, nullptr) != 0) return 0;  // not root, or not with all of its rights
  check_impostor();
  become(nobody);
  check_after_drop(before, sum, other);
  check_signals(killed, ended);
  manager after;
  expect(after.make<long>(1).call(add, 1) == 2, "a manager that is made afterwards");
  const auto begin = std::chrono::steady_clock::now();
  before.shutdown();
  after.shutdown();
  expect(!before.is_alive() && !after.is_alive(), "managers end");
  expect(std::chrono::steady_clock::now() - begin < 20s, "managers end in time");
  return wrong == 0 ? 0 : 1;
}
