// What a remote_server exposes, and what one client has of it. No connection is here: bytes come
// in, bytes go out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/rpc/remote_call.hpp"
#include "remote/channel.hpp"

namespace procpool::remote {

// An object with its lock: one call at a time.
struct held_object {
  std::mutex mutex;
  const detail::remote_type_entry* type = nullptr;
  std::shared_ptr<void> value;
};

// Constant while sessions are there.
struct exposures {
  std::map<std::string, detail::remote_entry> functions;
  std::map<std::string, detail::remote_type_entry> types;
  // Those that the types list, each with one lock, whatever its names are.
  std::map<const void*, std::shared_ptr<held_object>> shared;

  void share_objects();
};

// Any thread.
class session {
 public:
  session(const exposures& exposed, std::size_t max_objects)
      : exposed_(exposed), max_objects_(max_objects) {}

  // Runs what a request asks for: value or exception, and never more than max_reply bytes. Throws
  // std::bad_alloc.
  message_kind answer(const message& request, detail::heap_writer& reply, std::size_t max_reply);
  // An object that the client has no handle of any more. False for one that it never had.
  bool drop(std::uint64_t number);
  // The client is gone: all of them, but for those that a call is using until that ends.
  void end();
  std::size_t object_count() const;

 private:
  void act(const message& request, detail::heap_writer& reply);
  void call(detail::wire_reader& in, detail::wire_writer& out) const;
  void call_method(detail::wire_reader& in, detail::wire_writer& out) const;
  std::uint64_t make(detail::wire_reader& in);
  std::uint64_t find(detail::wire_reader& in);
  std::uint64_t keep(std::shared_ptr<held_object> object);
  std::shared_ptr<held_object> at(std::uint64_t number) const;
  const detail::remote_type_entry& type_at(const std::string& name) const;

  const exposures& exposed_;
  const std::size_t max_objects_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<held_object>> objects_;
  std::uint64_t next_ = 1;
  bool over_ = false;
};

}  // namespace procpool::remote
