// The text of an outcome's error, and the errors of reading and waiting for outcomes.
#include <stdexcept>
#include <string>

#include "procpool/detail/task/outcome_value.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/errors.hpp"
#include "procpool/outcome.hpp"
#include "procpool/wait.hpp"

namespace procpool::detail {

std::string describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

void throw_no_object() {
  throw invalid_state_error("the value of this future is of a type that cannot travel");
}

void throw_other_process() {
  throw nested_use_error("this future belongs to the process that submitted its task: wait there");
}

void throw_unfinished(std::size_t unfinished, std::size_t all) {
  throw timeout_error(std::to_string(unfinished) + " (of " + std::to_string(all) +
                      ") futures unfinished");
}

}  // namespace procpool::detail
