// Classes that do not say how they travel.
#include <memory>
#include <mutex>
#include <vector>

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

struct shape {
  virtual ~shape();
  virtual double area() const = 0;
};
struct square : shape {
  double area() const override;
};
class service {
 public:
  int answer(int) const;

 private:
  procpool::process_pool_executor pool_;
};
struct open_service {
  int x;
  procpool::process_pool_executor pool;
};

void use(procpool::process_pool_executor& pool, service& of_a_pool, procpool::future<int> result) {
#if !MISTAKE
  (void)pool.submit([](const base&) {}, base{});
  (void)pool.submit([](const allowed&) {}, allowed(1));
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<closed>
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  // error: (or procpool::enable_bytes, if its bytes are its value)
  // error: closed, procpool::detail::no_owner
  (void)pool.submit([](const closed&) {}, closed(1));
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<closed>
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  // error: closed, keeps, 1
  (void)pool.submit([](const std::vector<keeps>&) {}, std::vector<keeps>());
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<closed>
  // error: procpool: this class has no way to travel to another process: specialise procpool::codec
  (void)pool.submit([] { return closed(1); });
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<std::mutex>
  // error: it can be neither copied nor moved, as what holds a pool, a std::mutex or a thread
  std::mutex m;
  (void)pool.submit([](std::mutex&) {}, m);
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<derived>
  // error: procpool: this aggregate has a base class, or more than 64 members, or is a union:
  // error: derived, procpool::detail::no_owner
  (void)pool.submit([](const derived&) {}, derived{});
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<square>
  // error: procpool: a class with virtual functions cannot travel by its bytes: specialise
  (void)pool.submit([](const square&) {}, square());
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<shape>
  // error: procpool: a class with virtual functions cannot travel by its bytes: specialise
  (void)pool.submit([](std::vector<std::unique_ptr<shape>>) {},
                    std::vector<std::unique_ptr<shape>>());
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<service>
  // error: as what holds a pool, a std::mutex or a thread: send the data that the task needs
  // without
  (void)pool.submit(&service::answer, of_a_pool, 1);
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<procpool::process_pool_executor>
  // error: an executor cannot be sent to another process, nor used in a task: make it no member of
  // error: procpool::process_pool_executor, open_service, 1
  (void)pool.submit([](const open_service&) {}, open_service());
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<procpool::future<int>
  // error: a future or promise cannot be sent to another process: get() the value first and send
  // that
  (void)pool.submit([](procpool::future<int>) {}, std::move(result));
#endif
#if MISTAKE == __LINE__
  // error: cannot_travel_to_another_process<procpool::future<int>
  // error: a future or promise cannot be sent to another process: get() the value first and send
  // that
  (void)pool.submit([](std::vector<procpool::future<int>>) {},
                    std::vector<procpool::future<int>>());
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
