// What points into one process: the message names the type, its owner and the number of the member.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "procpool/detail/task_call.hpp"

struct node {
  int value;
  double weight;
  const int* next;
};
struct line {
  std::string_view text;
};
struct refers {
  int& target;
};

template <class F, class... Args>
void submit(F f, const Args&...) {
  static_cast<void>(f);
  static_cast<void>(sizeof(procpool::detail::task_call<F, Args...>));
}

void use() {
  submit([](const std::vector<std::unique_ptr<int>>&) {}, std::vector<std::unique_ptr<int>>());
#ifdef PROCPOOL_COMPILE_FAIL
  // error: a raw pointer cannot be sent to another process
  submit([](int*) {}, static_cast<int*>(nullptr));
  // error: const int
  // error: node
  submit([](const std::vector<node>&) {}, std::vector<node>());
  // error: a view cannot be sent inside another value
  submit([](const line&) {}, line{});
  // error: a reference cannot be sent to another process
  int target = 0;
  submit([](const refers&) {}, refers{target});
#endif
}
