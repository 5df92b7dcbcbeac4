#include "procpool/detail/codec/wire_io.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "procpool/errors.hpp"

namespace procpool::detail {

void wire_writer::grow_on_heap(std::size_t need, const std::byte* not_owned) {
  const std::size_t used = size();
  const auto capacity = static_cast<std::size_t>(end_ - begin_);
  const std::size_t wanted = std::max({used + need, 2 * capacity, std::size_t{128}});
  auto* const to = static_cast<std::byte*>(::operator new(wanted));
  std::copy_n(begin_, used, to);
  if (begin_ != not_owned) ::operator delete(begin_);
  begin_ = to;
  cur_ = to + used;
  end_ = to + wanted;
}

// Exceptions are constructed here, out of line, so that the templates that check stay small.

void fail_truncated(const char* expected, std::size_t need, std::size_t have) {
  throw codec_error("cannot decode: expected " + std::string(expected) + " of " +
                    std::to_string(need) + " bytes, and " + std::to_string(have) +
                    " are left, so " + std::to_string(need - have) + " are missing");
}

void fail_count(std::size_t count, std::size_t have) {
  throw codec_error("cannot decode: a container claims " + std::to_string(count) +
                    " elements, and only " + std::to_string(have) + " bytes are left");
}

void fail_left_over(std::size_t have) {
  throw codec_error("cannot decode: " + std::to_string(have) +
                    " bytes are left over: the bytes are of another type");
}

void fail_nesting() {
  throw codec_error("cannot encode or decode: values are nested more than " +
                    std::to_string(max_nesting) +
                    " deep (a cycle of shared_ptr, or a long list of unique_ptr): "
                    "flatten them with procpool::codec");
}

void fail_invalid(const char* what, std::size_t value) {
  throw codec_error("cannot decode: " + std::to_string(value) + " is not the value of " + what);
}

void fail_misaligned() {
  throw codec_error("cannot decode: the bytes of an array are not aligned for its elements");
}

void fail_unencodable(const char* what) {
  throw codec_error(std::string("cannot encode: ") + what);
}

void fail_no_handles() {
  throw codec_error(
      "a handle of a shared object cannot be encoded here: it travels in arguments of tasks and in "
      "their results, and not in initializers, finalizers or exceptions");
}

}  // namespace procpool::detail
