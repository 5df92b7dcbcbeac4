// Classes that do not say how they travel.
#include <functional>
#include <mutex>
#include <string>

#include "procpool/codec.hpp"
#include "procpool/exception.hpp"

class closed {  // trivially copyable, which is not enough
 public:
  explicit closed(int v) : value_(v) {}
  int value() const { return value_; }

 private:
  int value_;
};

struct base {
  int x;
};
struct derived : base {
  int y;
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

template <>
inline constexpr bool procpool::enable_bytes<base> = true;

void use(procpool::detail::wire_writer& writer) {
  procpool::detail::encode(writer, base{1});
#ifdef PROCPOOL_COMPILE_FAIL
  // error: this class has no way to travel to another process: specialise procpool::codec
  procpool::detail::encode(writer, closed(1));
  // error: this aggregate has a base class
  procpool::detail::encode(writer, derived{});
#endif
}

#ifdef PROCPOOL_COMPILE_FAIL
// error: PROCPOOL_EXCEPTION wants a procpool::codec for this type
PROCPOOL_EXCEPTION(needs_two_arguments);

// error: procpool::enable_bytes is for trivially copyable types
template <>
inline constexpr bool procpool::enable_bytes<holds_text> = true;
static_assert(procpool::encodable<holds_text>);
#endif
