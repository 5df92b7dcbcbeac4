// The functions and objects that a remote_server exposes, and the objects of one client.
// Independent of connections: bytes come in, bytes go out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/guarded.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/rpc/remote_call.hpp"
#include "remote/channel.hpp"

namespace procpool::remote {

// An object with its lock: it runs one call at a time.
struct held_object {
  explicit held_object(std::shared_ptr<void> object) : value(std::move(object)) {}

  base::mutex mutex;
  const std::shared_ptr<void> value GUARDED_BY(mutex);
};

// An object as a type: the same object may be exposed by several types, each with methods of its
// own.
struct typed_object {
  const detail::remote_type_entry* type = nullptr;
  std::shared_ptr<held_object> held;
};

// Constant while sessions exist.
struct exposures {
  std::map<std::string, detail::remote_entry> functions;
  std::map<std::string, detail::remote_type_entry> types;
  // The objects that the types list, each with one lock for all its names and types.
  std::map<const void*, std::shared_ptr<held_object>> shared;

  void share_objects();
};

// One client's objects, and the calls of its requests. Any thread.
class session {
 public:
  session(const exposures& exposed, std::size_t max_objects)
      : exposed_(exposed), max_objects_(max_objects) {}

  // Runs a request: the reply is a value or an exception, and never more than max_reply bytes.
  // Throws std::bad_alloc.
  message_kind answer(const message& request, detail::heap_writer& reply, std::size_t max_reply);
  // Drops an object to which the client has no handle any more. False if the client never had it.
  bool drop(std::uint64_t number);
  // Called when the client has gone: drops all its objects; an object that a call is using lives
  // until the call ends.
  void end();
  std::size_t object_count() const;

 private:
  void act(const message& request, detail::heap_writer& reply);
  void call(detail::wire_reader& in, detail::wire_writer& out) const;
  void call_method(detail::wire_reader& in, detail::wire_writer& out) const;
  std::uint64_t make(detail::wire_reader& in);
  std::uint64_t find(detail::wire_reader& in);
  std::uint64_t keep(typed_object object);
  typed_object at(std::uint64_t number) const;
  const detail::remote_type_entry& type_at(const std::string& name) const;

  const exposures& exposed_;
  const std::size_t max_objects_;
  mutable base::mutex mutex_;
  std::map<std::uint64_t, typed_object> objects_ GUARDED_BY(mutex_);
  std::uint64_t next_ GUARDED_BY(mutex_) = 1;
  bool over_ GUARDED_BY(mutex_) = false;
};

}  // namespace procpool::remote
