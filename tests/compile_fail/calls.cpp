// A call that does not fit names both sides.
#include <string>
#include <vector>

#include "procpool/detail/task_call.hpp"

struct measurement {
  int value;
};

int length(const std::string& text);
void fill(std::vector<int>& numbers);

template <class F, class... Args>
void submit(F f, const Args&...) {
  static_cast<void>(f);
  static_cast<void>(sizeof(procpool::detail::task_call<F, Args...>));
}

void use() {
  submit(length, "text");
#ifdef PROCPOOL_COMPILE_FAIL
  // error: the task function cannot be called with these arguments
  // error: call_does_not_fit<
  // error: measurement
  submit(length, measurement{1});
  submit(length);
  submit(fill, std::vector<int>());
  submit([](int a) mutable { return a; }, 1);
  // error: this is not a function
  submit(42);
#endif
}
