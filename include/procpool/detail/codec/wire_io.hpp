// The two cursors by which values are written and read.
//
// A wire_writer appends to memory that its owner provides: a buffer on the stack, a slot or a block
// of the shared region, the heap. When the memory is full, the writer asks its owner for more
// through one function pointer, so that the fast path is a comparison and a memcpy that the
// compiler can see through.
//
// A wire_reader reads bytes that it does not trust: they may be truncated or forged, and those in
// shared memory may change while it reads. So each length is loaded once and compared with the
// number of remaining bytes before memory is allocated for it, and only the checked copy is used.
// All failures are codec_error.
//
// Both belong to one thread at a time. The written bytes begin at a multiple of 8 in memory, so
// alignments up to 8 hold in memory as well as relative to the begin; values with a greater
// alignment are copied out instead of viewed in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "procpool/export.hpp"

namespace procpool::detail {

inline constexpr std::size_t wire_alignment = 8;

class shared_object;

// Values may hold values of their own type, through pointers and containers. A deeper value is
// endless, or an attack on the stack.
inline constexpr int max_nesting = 256;

// The out-of-line part: each function throws codec_error.
[[noreturn]] PROCPOOL_EXPORT void fail_truncated(const char* expected, std::size_t need,
                                                 std::size_t have);
[[noreturn]] PROCPOOL_EXPORT void fail_count(std::size_t count, std::size_t have);
[[noreturn]] PROCPOOL_EXPORT void fail_left_over(std::size_t have);
[[noreturn]] PROCPOOL_EXPORT void fail_nesting();
[[noreturn]] PROCPOOL_EXPORT void fail_invalid(const char* what, std::size_t value);
[[noreturn]] PROCPOOL_EXPORT void fail_misaligned();
[[noreturn]] PROCPOOL_EXPORT void fail_unencodable(const char* what);
[[noreturn]] PROCPOOL_EXPORT void fail_no_handles();

// Detaches the value from the memory that it was loaded from: the compiler cannot load it again
// after this, so the checked value is the used value, even when another process writes to the
// memory meanwhile.
template <class Integer>
inline Integer loaded_once(Integer value) {
  __asm__("" : "+r"(value));
  return value;
}

// A length below 255 takes one byte, any other length nine.
inline constexpr unsigned char long_length = 0xff;

class wire_writer {
 public:
  // Makes at least `need` bytes free after the written bytes, which it keeps but may move;
  // otherwise throws.
  using grow_function = void (*)(wire_writer&, std::size_t need);
  // Called when a handle of a shared object was written: from now on the written bytes keep the
  // object.
  using object_function = void (*)(wire_writer&, const shared_object&);

  wire_writer(const wire_writer&) = delete;
  wire_writer& operator=(const wire_writer&) = delete;

  // Room for the next n bytes, which the caller fills.
  std::byte* extend(std::size_t n) {
    if (n > static_cast<std::size_t>(end_ - cur_)) [[unlikely]] {
      grow_(*this, n);
    }
    return std::exchange(cur_, cur_ + n);
  }

  void write(const void* from, std::size_t n) {
    std::byte* to = extend(n);
    if (n != 0) {  // an empty run may have no address
      std::memcpy(to, from, n);
    }
  }

  template <class T>
  void write_value(const T& value) {
    std::memcpy(extend(sizeof(T)), &value, sizeof(T));
  }

  void write_length(std::size_t n) {
    if (n < long_length) [[likely]] {
      *extend(1) = static_cast<std::byte>(n);
    } else {
      std::byte* to = extend(1 + sizeof(std::uint64_t));
      const std::uint64_t wide = n;
      *to = std::byte{long_length};
      std::memcpy(to + 1, &wide, sizeof(wide));
    }
  }

  // Pads with zeros to a multiple of `alignment`, at most 8, counted from the begin.
  void align(std::size_t alignment) {
    const std::size_t padding = (0 - size()) & (alignment - 1);
    std::byte* to = extend(padding);
    for (std::size_t i = 0; i < padding; ++i) {
      to[i] = std::byte{0};
    }
  }

  std::size_t size() const { return static_cast<std::size_t>(cur_ - begin_); }
  std::byte* data() { return begin_; }
  const std::byte* data() const { return begin_; }

  void enter() {
    if (depth_ == max_nesting) [[unlikely]] {
      fail_nesting();
    }
    ++depth_;
  }
  void leave() { --depth_; }

  // Throws codec_error for bytes whose end of life the library would not notice.
  void note_object(const shared_object& object) {
    if (note_object_ == nullptr) fail_no_handles();
    note_object_(*this, object);
  }

 protected:
  wire_writer(std::byte* begin, std::byte* end, grow_function grow, object_function note = nullptr)
      : begin_(begin), cur_(begin), end_(end), grow_(grow), note_object_(note) {}
  ~wire_writer() = default;
  // For an owner that writes to memory of operator new: moves the written bytes to a larger piece,
  // with room for at least `need` more, and frees the old one unless that is `not_owned`.
  PROCPOOL_EXPORT void grow_on_heap(std::size_t need, const std::byte* not_owned = nullptr);

  std::byte* begin_;
  std::byte* cur_;
  std::byte* end_;
  grow_function grow_;

 private:
  int depth_ = 0;
  object_function note_object_;
};

class wire_reader {
 public:
  wire_reader(const std::byte* begin, std::size_t size)
      : begin_(begin), cur_(begin), end_(begin + size) {}

  wire_reader(const wire_reader&) = delete;
  wire_reader& operator=(const wire_reader&) = delete;

  // The next n bytes, in place. `expected` names them in the error.
  const std::byte* view(std::size_t n, const char* expected = "bytes") {
    if (n > remaining()) [[unlikely]] {
      fail_truncated(expected, n, remaining());
    }
    return std::exchange(cur_, cur_ + n);
  }

  void read(void* to, std::size_t n, const char* expected = "bytes") {
    const std::byte* from = view(n, expected);
    if (n != 0) {
      std::memcpy(to, from, n);
    }
  }

  template <class T>
  T read_value(const char* expected = "a value") {
    T value;
    std::memcpy(&value, view(sizeof(T), expected), sizeof(T));
    return value;
  }

  // Reads one byte, which must be 0 or 1.
  bool read_bool() {
    const auto value = loaded_once(read_value<unsigned char>("a bool"));
    if (value > 1) [[unlikely]] {
      fail_invalid("a bool", value);
    }
    return value != 0;
  }

  // The number of elements that follow. Each takes at least `min_size` bytes, so that a forged
  // count fails here, before memory is allocated for it.
  std::size_t read_length(std::size_t min_size) {
    std::size_t n = loaded_once(read_value<unsigned char>("a length"));
    if (n == long_length) [[unlikely]] {
      n = static_cast<std::size_t>(loaded_once(read_value<std::uint64_t>("a length")));
    }
    if (n > remaining() / min_size) [[unlikely]] {
      fail_count(n, remaining());
    }
    return n;
  }

  // The counterpart of wire_writer::align.
  void align(std::size_t alignment) {
    const auto offset = static_cast<std::size_t>(cur_ - begin_);
    view((0 - offset) & (alignment - 1), "padding");
  }

  std::size_t remaining() const { return static_cast<std::size_t>(end_ - cur_); }

  void expect_end() const {
    if (cur_ != end_) [[unlikely]] {
      fail_left_over(remaining());
    }
  }

  void enter() {
    if (depth_ == max_nesting) [[unlikely]] {
      fail_nesting();
    }
    ++depth_;
  }
  void leave() { --depth_; }

 private:
  const std::byte* begin_;
  const std::byte* cur_;
  const std::byte* end_;
  int depth_ = 0;
};

// Counts one level of nesting in a wire_writer or a wire_reader.
template <class Cursor>
class nesting {
 public:
  explicit nesting(Cursor& cursor) : cursor_(cursor) { cursor_.enter(); }
  ~nesting() { cursor_.leave(); }

  nesting(const nesting&) = delete;
  nesting& operator=(const nesting&) = delete;

 private:
  Cursor& cursor_;
};

}  // namespace procpool::detail
