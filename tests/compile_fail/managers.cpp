// What a proxy cannot call.
#include <string>

#include "procpool/manager.hpp"
#include "procpool/procpool.hpp"

struct account {
  long balance = 0;
};

void use(const procpool::proxy<account>& a) {
  (void)a.call([](account& self, long amount) { return self.balance += amount; }, 3L);
  a.call([](account& self, const std::string& text) { self.balance += text.size(); }, "text");
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  a.call([](account& self, long amount) mutable { self.balance = ++amount; }, 3L);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  a.call([](account& self) { self.balance = 0; }, 3L);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  const long amount = 3;
  a.call([amount](account& self) { self.balance += amount; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  a.call([](account& self, const long* amount) { self.balance += *amount; }, new long(3));
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  (void)a.call([](account& self) { return &self.balance; });
#endif
}
