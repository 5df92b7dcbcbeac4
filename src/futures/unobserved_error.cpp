#include "futures/unobserved_error.hpp"

#include <cstdio>
#include <utility>

namespace procpool::futures {

void report_unobserved(const std::function<void(std::exception_ptr)>& on_error,
                       std::exception_ptr e) noexcept {
  try {
    if (on_error) {
      on_error(std::move(e));
      return;
    }
    std::rethrow_exception(std::move(e));
  } catch (const std::exception& x) {
    std::fprintf(stderr, "procpool: unobserved error: %s\n", x.what());
  } catch (...) {
    std::fprintf(stderr, "procpool: unobserved exception\n");
  }
}

}  // namespace procpool::futures
