// An adapter for classes with cereal functions (serialize, or save and load, inside or beside the
// class): one line makes them travel.
//
//   #include <procpool/cereal.hpp>
//   template <> struct procpool::codec<game::board> : procpool::cereal_codec<game::board> {};
//
// The class needs a default constructor, as cereal itself requires. Needs the cereal library, and
// is not part of procpool/procpool.hpp. The archives belong to procpool and check sizes, bools and
// nesting, as the rest of the codec does. No locks; any thread.
#pragma once

#include <cereal/cereal.hpp>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

#include "procpool/codec.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/errors.hpp"

namespace procpool::detail {

class cereal_depth {
 public:
  void enter() {
    if (++depth_ > limit) {
      fail_nesting();
    }
  }
  void leave() { --depth_; }

 private:
  static constexpr int limit = 4 * max_nesting;  // several archive calls for each level of a value
  int depth_ = 0;
};

class cereal_output : public cereal::OutputArchive<cereal_output, cereal::AllowEmptyClassElision>,
                      public cereal_depth {
 public:
  explicit cereal_output(wire_writer& writer)
      : cereal::OutputArchive<cereal_output, cereal::AllowEmptyClassElision>(this),
        writer_(writer) {}

  void save_bytes(const void* from, std::size_t size) { writer_.write(from, size); }

 private:
  wire_writer& writer_;
};

class cereal_input : public cereal::InputArchive<cereal_input, cereal::AllowEmptyClassElision>,
                     public cereal_depth {
 public:
  explicit cereal_input(wire_reader& reader)
      : cereal::InputArchive<cereal_input, cereal::AllowEmptyClassElision>(this), reader_(reader) {}

  void load_bytes(void* to, std::size_t size) { reader_.read(to, size, "cereal's data"); }
  bool load_bool() { return reader_.read_bool(); }

  // cereal allocates room for as many elements as the size says.
  void check_size(std::size_t elements) const {
    if (elements > reader_.remaining()) {
      fail_count(elements, reader_.remaining());
    }
  }

 private:
  wire_reader& reader_;
};

// The functions that cereal looks up by these names for each archive. First for arithmetic types.
template <class T>
  requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_output& archive, const T& value) {
  archive.save_bytes(std::addressof(value), sizeof(value));
}

template <class T>
  requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_input& archive, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    value = archive.load_bool();
  } else {
    archive.load_bytes(std::addressof(value), sizeof(value));
  }
}

template <class Archive, class T>
  requires is_one_of<Archive, cereal_output, cereal_input>
void CEREAL_SERIALIZE_FUNCTION_NAME(Archive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_output& archive, const cereal::SizeTag<T>& tag) {
  archive(tag.size);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_input& archive, cereal::SizeTag<T>& tag) {
  archive(tag.size);
  archive.check_size(static_cast<std::size_t>(tag.size));
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(cereal_output& archive, const cereal::BinaryData<T>& data) {
  archive.save_bytes(data.data, static_cast<std::size_t>(data.size));
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(cereal_input& archive, cereal::BinaryData<T>& data) {
  archive.load_bytes(data.data, static_cast<std::size_t>(data.size));
}

template <class T>
void prologue(cereal_output& archive, const T&) {
  archive.enter();
}
template <class T>
void epilogue(cereal_output& archive, const T&) {
  archive.leave();
}
template <class T>
void prologue(cereal_input& archive, const T&) {
  archive.enter();
}
template <class T>
void epilogue(cereal_input& archive, const T&) {
  archive.leave();
}

}  // namespace procpool::detail

CEREAL_REGISTER_ARCHIVE(procpool::detail::cereal_output)
CEREAL_REGISTER_ARCHIVE(procpool::detail::cereal_input)
CEREAL_SETUP_ARCHIVE_TRAITS(procpool::detail::cereal_input, procpool::detail::cereal_output)

namespace procpool {

template <class T>
struct cereal_codec {
  using bytes = std::vector<std::byte>;

  static bytes to_wire(const T& value) {
    static_assert(std::is_default_constructible_v<T>,
                  "procpool: cereal_codec needs a class with a default constructor");
    detail::heap_writer writer;
    try {
      detail::cereal_output archive(writer);
      archive(value);
    } catch (const cereal::Exception& e) {
      throw codec_error(e.what());
    }
    return bytes(writer.data(), writer.data() + writer.size());
  }

  static T from_wire(bytes&& wire) {
    detail::wire_reader reader(wire.data(), wire.size());
    T value{};
    try {
      detail::cereal_input archive(reader);
      archive(value);
    } catch (const cereal::Exception& e) {
      throw codec_error(e.what());
    }
    reader.expect_end();
    return value;
  }
};

}  // namespace procpool
