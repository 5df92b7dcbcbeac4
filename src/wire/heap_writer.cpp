#include "procpool/detail/codec/heap_writer.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace procpool::detail {
namespace {

std::byte* allocate(std::size_t size) { return static_cast<std::byte*>(::operator new(size)); }

void release(std::byte* data) { ::operator delete(data); }

}  // namespace

wire_buffer::wire_buffer(const std::byte* from, std::size_t size) {
  if (size != 0) {
    data_ = allocate(size);
    size_ = size;
    std::copy_n(from, size, data_);
  }
}

wire_buffer::wire_buffer(const wire_buffer& other) : wire_buffer(other.data_, other.size_) {}

wire_buffer::wire_buffer(wire_buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

wire_buffer& wire_buffer::operator=(wire_buffer other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

wire_buffer::~wire_buffer() { release(data_); }

heap_writer::~heap_writer() { release(begin_); }

wire_buffer heap_writer::take() {
  wire_buffer result;
  result.size_ = size();
  result.data_ = std::exchange(begin_, nullptr);
  cur_ = nullptr;
  end_ = nullptr;
  return result;
}

void heap_writer::grow(wire_writer& writer, std::size_t need) {
  static_cast<heap_writer&>(writer).grow_on_heap(need);
}

}  // namespace procpool::detail
