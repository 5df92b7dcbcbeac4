#include "wire/exception_codec.hpp"

#include <cxxabi.h>
#include <sys/types.h>

#include <algorithm>
#include <string>
#include <typeinfo>
#include <utility>

#include "procpool/codec.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/errors.hpp"
#include "wire/exception_registry.hpp"

// From <unistd.h>, which only src/os includes; this room makes no other system call.
extern "C" pid_t getpid() noexcept;

namespace procpool::wire {
namespace {

using detail::heap_writer;
using detail::wire_buffer;
using detail::wire_reader;
using detail::wire_writer;

// The description of an exception of unknown type.
struct description {
  std::string type_name;
  std::string what;
  std::exception_ptr nested;
};

std::string what_of(const std::exception& e) {
  const char* what = e.what();
  return what != nullptr ? what : "";
}

std::string in_flight_type() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  return type != nullptr ? exception_type_name(*type) : std::string("an unknown type");
}

// Used in place of what() for an exception that has none.
std::string text_for(const std::string& type) { return "an exception of type " + type; }

description describe(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    const auto* nesting = dynamic_cast<const std::nested_exception*>(&e);
    return {exception_type_name(typeid(e)), what_of(e),
            nesting != nullptr ? nesting->nested_ptr() : nullptr};
  } catch (const std::nested_exception& e) {
    std::string type = in_flight_type();
    return {type, text_for(type), e.nested_ptr()};
  } catch (...) {
    std::string type = in_flight_type();
    return {type, text_for(type), nullptr};
  }
}

// Encodes the exception by its type's own codec. False if the type is not registered or that codec
// fails: then the type's name and what() must suffice.
bool encode_payload(const std::exception_ptr& thrown, std::uint64_t hash, wire_buffer& payload) {
  detail::exception_entry entry{};
  if (!find_exception(hash, entry)) {
    return false;
  }
  try {
    heap_writer writer;
    entry.encode(writer, thrown);
    payload = writer.take();
    return true;
  } catch (...) {
    return false;
  }
}

void put_text(wire_writer& writer, const std::string& text, std::size_t limit) {
  const std::size_t size = std::min(text.size(), limit);
  writer.write_length(size);
  writer.write(text.data(), size);
}

void put_link(wire_writer& writer, const std::exception_ptr& thrown, int links) {
  const description d = describe(thrown);
  wire_buffer payload;
  const std::uint64_t hash = hash_name(d.type_name);
  const bool known = encode_payload(thrown, hash, payload);
  writer.write_value(known ? hash : std::uint64_t{0});
  put_text(writer, d.type_name, max_type_name);
  put_text(writer, d.what, max_what);
  writer.write_length(payload.size());
  writer.write(payload.data(), payload.size());
  const bool more = d.nested != nullptr && links < max_links;
  writer.write_value(static_cast<unsigned char>(more));
  if (more) {
    put_link(writer, d.nested, links + 1);
  }
}

void put_origin(wire_writer& writer, origin from) {
  writer.write_value(from.worker);
  writer.write_value(from.pid);
}

// Writes a fixed note when there is no memory, private or in the region, for the exception.
class note_writer final : public wire_writer {
 public:
  note_writer() : wire_writer(bytes_, bytes_ + sizeof(bytes_), &note_writer::grow) {}

 private:
  static void grow(wire_writer&, std::size_t) { detail::fail_unencodable("a note of failure"); }
  std::byte bytes_[64];
};

void put_note(wire_writer& writer, origin from) {
  constexpr std::string_view text = "no memory for the error's text";
  note_writer note;
  put_origin(note, from);
  note.write_value(std::uint64_t{0});
  note.write_length(0);
  note.write_length(text.size());
  note.write(text.data(), text.size());
  note.write_length(0);
  note.write_value(static_cast<unsigned char>(0));
  writer.write(note.data(), note.size());
}

std::string take_text(wire_reader& reader, std::size_t limit) {
  const std::size_t size = reader.read_length(1);
  if (size > limit) {
    detail::fail_count(size, limit);
  }
  return std::string(reinterpret_cast<const char*>(reader.view(size, "text")), size);
}

struct link {
  std::uint64_t hash = 0;
  std::string type_name;
  std::string what;
  wire_buffer payload;  // a copy: a codec reads private memory only
};

link take_link(wire_reader& reader) {
  link l;
  l.hash = reader.read_value<std::uint64_t>("a hash");
  l.type_name = take_text(reader, max_type_name);
  l.what = take_text(reader, max_what);
  const std::size_t size = reader.read_length(1);
  l.payload = wire_buffer(reader.view(size, "an exception"), size);
  return l;
}

std::string where_text(origin from, std::string_view label) {
  const std::string pid = std::to_string(from.pid);
  std::string where = from.worker < 0
                          ? "process " + pid  // a manager
                          : "worker " + std::to_string(from.worker) + " (pid " + pid + ")";
  if (!label.empty()) {
    where.append(", task '").append(label).append("'");
  }
  return where;
}

// The exception as its own type, or null.
std::exception_ptr rebuild_link(const link& l, const std::exception_ptr& nested) {
  detail::exception_entry entry{};
  if (l.hash == 0 || l.hash != hash_name(l.type_name) || !find_exception(l.hash, entry)) {
    return nullptr;
  }
  try {
    wire_reader reader(l.payload.data(), l.payload.size());
    return entry.decode(reader, l.what, nested);
  } catch (...) {
    return nullptr;
  }
}

// Appended to the text of an exception that was not rebuilt: its type, and advice on rebuilding it.
std::string advice(const link& l) {
  if (l.type_name.empty()) return {};
  detail::exception_entry entry{};
  if (l.hash != 0 || find_exception(hash_name(l.type_name), entry)) {
    return " (of type " + l.type_name + ", which could not be rebuilt in this process)";
  }
  const bool has_a_name = l.type_name.find('(') == std::string::npos;  // "(anonymous namespace)::"
  const bool is_named = l.what == text_for(l.type_name);
  return (is_named ? std::string(" (") : " (of type " + l.type_name + ": ") +
         "to catch it as that type, register it with PROCPOOL_EXCEPTION" +
         (has_a_name ? "(" + l.type_name + ")" : std::string()) + ")";
}

// `inner` is the exception nested in it, `where` the place where it was thrown: only the innermost
// exception gets a remote_error with that place nested in it.
std::exception_ptr revive(const link& l, const std::exception_ptr& inner,
                          const std::string& where) {
  const std::exception_ptr nested =
      inner != nullptr
          ? inner
          : std::make_exception_ptr(remote_error(
                l.type_name, "thrown in " + where + ": " + l.type_name + ": " + l.what, where));
  if (std::exception_ptr rebuilt = rebuild_link(l, nested)) {
    return rebuilt;
  }
  const remote_error unknown(l.type_name, l.what + advice(l), where);
  return inner != nullptr ? detail::rebuild(unknown, inner) : std::make_exception_ptr(unknown);
}

std::exception_ptr take_links(wire_reader& reader, const std::string& where, int links) {
  if (links > max_links) {
    detail::fail_nesting();
  }
  const link l = take_link(reader);
  const std::exception_ptr inner =
      reader.read_bool() ? take_links(reader, where, links + 1) : nullptr;
  return revive(l, inner, where);
}

}  // namespace

origin origin::here(std::int64_t worker) {
  return {static_cast<std::int32_t>(worker), static_cast<std::int32_t>(getpid())};
}

void encode_exception(wire_writer& writer, const std::exception_ptr& thrown, origin from) {
  try {
    heap_writer whole;  // one buffer, so that it is written as a whole or not at all
    put_origin(whole, from);
    put_link(whole, thrown, 1);
    const wire_buffer bytes = whole.take();
    writer.write(bytes.data(), bytes.size());
    return;
  } catch (...) {
    // No memory: write only the note.
  }
  put_note(writer, from);
}

std::exception_ptr decode_exception(wire_reader& reader, std::string_view label) noexcept {
  try {
    origin from;
    from.worker = reader.read_value<std::int32_t>("a worker");
    from.pid = reader.read_value<std::int32_t>("a pid");
    std::exception_ptr whole = take_links(reader, where_text(from, label), 1);
    reader.expect_end();
    return whole;
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace procpool::wire
