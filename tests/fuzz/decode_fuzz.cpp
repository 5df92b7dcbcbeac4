// The decoders, fed with whatever comes: each input is a type's number and bytes. They throw
// codec_error or make a valid value, which can then be encoded and decoded again.
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "procpool/codec.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/errors.hpp"
#include "procpool/exception.hpp"
#include "wire/chunk_outcomes.hpp"
#include "wire/exception_codec.hpp"

namespace {

using procpool::detail::heap_writer;
using procpool::detail::wire_buffer;
using procpool::detail::wire_reader;

struct flags {
  int number;
  bool set;
  bool more[3];
};
struct tree {
  std::string name;
  std::vector<tree> children;
  std::unique_ptr<tree> next;
};
struct record {
  std::map<std::string, std::vector<flags>> by_name;
  std::optional<std::variant<int, std::string, flags>> either;
  std::vector<bool> bits;
  std::vector<long double> wide;
  std::bitset<70> set;
  std::set<std::string> names;
  std::unordered_map<int, std::shared_ptr<std::string>> shared;
};

struct registered {
  int code;
  std::vector<std::string> notes;
};
PROCPOOL_EXCEPTION(registered);

template <class T>
void decode_one(const wire_buffer& bytes) {
  try {
    wire_reader reader(bytes.data(), bytes.size());
    const T value = procpool::detail::decode<T>(reader);
    heap_writer writer;
    procpool::detail::encode(writer, value);
    wire_reader again(writer.data(), writer.size());
    static_cast<void>(procpool::detail::decode<T>(again));
    again.expect_end();
  } catch (const procpool::codec_error&) {
    return;  // the only way out for bytes that are no T
  }
}

void decode_exception(const wire_buffer& bytes) {
  wire_reader reader(bytes.data(), bytes.size());
  const std::exception_ptr revived = procpool::wire::decode_exception(reader, "label");
  if (revived == nullptr) {
    std::abort();
  }
  heap_writer writer;
  procpool::wire::encode_exception(writer, revived, {});
}

// The first byte is the number of items. A part that is read lies within the bytes.
void read_chunk(const wire_buffer& bytes) {
  if (bytes.size() == 0) return;
  const auto items = static_cast<std::uint32_t>(*bytes.data());
  const wire_buffer outcomes(bytes.data() + 1, bytes.size() - 1);
  std::uint32_t read = 0;
  try {
    procpool::wire::chunk_reader reader(outcomes.data(), outcomes.size(), items);
    for (procpool::wire::chunk_part p; reader.next(p);) {
      read += p.count;
      const auto at = static_cast<std::size_t>(p.data - outcomes.data());
      if (at > outcomes.size() || p.count * p.size > outcomes.size() - at) std::abort();
    }
    if (read != items) std::abort();
  } catch (const procpool::codec_error&) {
    if (read > items) std::abort();
  }
}

constexpr void (*decoders[])(const wire_buffer&) = {
    &decode_one<bool>,
    &decode_one<std::string>,
    &decode_one<std::vector<flags>>,
    &decode_one<tree>,
    &decode_one<record>,
    &decode_one<std::vector<std::tuple<std::string, std::optional<double>>>>,
    &decode_exception,
    &read_chunk,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size != 0) {
    // Copied to memory of its own: aligned, and a sanitizer sees the first byte too many.
    const wire_buffer bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
    decoders[data[0] % std::size(decoders)](bytes);
  }
  return 0;
}
