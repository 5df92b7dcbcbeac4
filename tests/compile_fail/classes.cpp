// Classes that do not say how they travel.
#include <mutex>

#include "procpool/procpool.hpp"

class closed {  // trivially copyable, which is not enough
 public:
  explicit closed(int v) : value_(v) {}
  int value() const { return value_; }

 private:
  int value_;
};
class allowed {
 public:
  explicit allowed(int v) : value_(v) {}

 private:
  int value_;
};
template <>
inline constexpr bool procpool::enable_bytes<allowed> = true;

struct base {
  int x;
};
struct derived : base {
  int y;
};
struct keeps {
  int count;
  closed kept;
};

struct needs_two_arguments : std::runtime_error {
  needs_two_arguments(int, int) : std::runtime_error("two") {}
};
struct fine : std::runtime_error {
  using std::runtime_error::runtime_error;
};
PROCPOOL_EXCEPTION(fine);

struct holds_text {
  std::string text;
};

void use(procpool::process_pool_executor& pool) {
  (void)pool.submit([](const base&) {}, base{});
  (void)pool.submit([](const allowed&) {}, allowed(1));
#if MISTAKE == __LINE__
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  // error: (or procpool::enable_bytes, if its bytes are its value)
  // error: closed, procpool::detail::no_owner
  (void)pool.submit([](const closed&) {}, closed(1));
#endif
#if MISTAKE == __LINE__
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  // error: closed, keeps, 1
  (void)pool.submit([](const std::vector<keeps>&) {}, std::vector<keeps>());
#endif
#if MISTAKE == __LINE__
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  (void)pool.submit([] { return closed(1); });
#endif
#if MISTAKE == __LINE__
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  std::mutex m;
  (void)pool.submit([](std::mutex&) {}, m);
#endif
#if MISTAKE == __LINE__
  // error: procpool: this aggregate has a base class, or more than 64 members, or is a union:
  // error: derived, procpool::detail::no_owner
  (void)pool.submit([](const derived&) {}, derived{});
#endif
}

#if MISTAKE == __LINE__
// error: procpool: PROCPOOL_EXCEPTION needs a procpool::codec for this type
PROCPOOL_EXCEPTION(needs_two_arguments);
#endif

#if MISTAKE == __LINE__
// error: procpool::enable_bytes is for trivially copyable types
template <>
inline constexpr bool procpool::enable_bytes<holds_text> = true;
static_assert(procpool::encodable<holds_text>);
#endif
