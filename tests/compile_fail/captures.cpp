// A task does not capture: its data are arguments.
#include <functional>

#include "procpool/detail/task_call.hpp"
#include "procpool/partial.hpp"

int scale(int factor, int value) { return factor * value; }

template <class F, class... Args>
void submit(F f, const Args&...) {
  static_cast<void>(f);
  static_cast<void>(sizeof(procpool::detail::task_call<F, Args...>));
}

void use(int factor) {
  submit([](int value) { return value; }, 1);
  submit(procpool::partial(scale, factor), 1);
#ifdef PROCPOOL_COMPILE_FAIL
  // error: a task cannot capture variables
  // error: pass data as arguments or use procpool::partial
  submit([factor](int value) { return factor * value; }, 1);
  submit([&](int value) { return factor * value; }, 1);
  submit(std::function<int(int)>([](int value) { return value; }), 1);
  submit(std::bind(scale, factor, std::placeholders::_1), 1);
#endif
}
