// Results are values.
#include <span>
#include <string>
#include <string_view>

#include "procpool/detail/task_call.hpp"

const std::string& reference();
int* pointer();
std::string_view view();
void (*function())();

template <class F, class... Args>
void submit(F f, const Args&...) {
  static_cast<void>(f);
  static_cast<void>(sizeof(procpool::detail::task_call<F, Args...>));
}

void use() {
  submit(reference);
#ifdef PROCPOOL_COMPILE_FAIL
  // error: a raw pointer cannot be sent to another process
  submit(pointer);
  // error: or as a result: use std::string for std::string_view
  submit(view);
  // error: a function pointer or task cannot be a result
  submit(function);
#endif
}
