#include "shm/worker_settings.hpp"

#include "procpool/detail/codec/encode.hpp"

namespace procpool::shm {

detail::wire_buffer encode_settings(const worker_settings& settings) {
  detail::heap_writer writer;
  detail::encode(writer, settings);
  return writer.take();
}

worker_settings decode_settings(const std::byte* bytes, std::size_t size) {
  detail::wire_reader reader(bytes, size);
  return detail::decode<worker_settings>(reader);
}

}  // namespace procpool::shm
