// Errors of futures that no code will ask for.
#pragma once

#include <exception>
#include <functional>

namespace procpool::futures {

// Reports to the user's function, or as a line on stderr. Any thread.
void report_unobserved(const std::function<void(std::exception_ptr)>& on_error,
                       std::exception_ptr e) noexcept;

}  // namespace procpool::futures
