#include "shm/worker_settings.hpp"

#include <cstddef>

#include "procpool/detail/codec/encode.hpp"

namespace procpool::shm {

detail::wire_buffer encode_settings(const worker_settings& settings) {
  detail::heap_writer writer;
  detail::encode(writer, settings);
  return writer.take();
}

std::vector<u32> cpus_of(const worker_settings& settings, u32 seat, u32 workers) {
  const std::vector<u32>& all = settings.cpus;
  const std::size_t n = all.size();
  if (n == 0) return {};
  if (!settings.shares_cpus || workers >= n) return {all[seat % n]};
  const auto begin = all.begin();
  return {begin + static_cast<std::ptrdiff_t>(seat * n / workers),
          begin + static_cast<std::ptrdiff_t>((seat + std::size_t{1}) * n / workers)};
}

worker_settings decode_settings(const std::byte* bytes, std::size_t size) {
  detail::wire_reader reader(bytes, size);
  return detail::decode<worker_settings>(reader);
}

}  // namespace procpool::shm
