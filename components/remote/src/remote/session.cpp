#include "remote/session.hpp"

#include <exception>
#include <utility>

#include "procpool/codec.hpp"
#include "procpool/errors.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::remote {
namespace {

using detail::remote_entry;
using detail::wire_reader;
using detail::wire_writer;

std::string take_text(wire_reader& in) { return detail::wire<std::string>::take(in); }

// The arguments are at the end, and begin where views in them are aligned.
template <class Run>
void with_arguments(wire_reader& in, Run run) {
  in.align(detail::wire_alignment);
  const std::size_t size = in.remaining();
  wire_reader arguments(in.view(size), size);
  run(arguments);
}

const remote_entry& entry_at(const std::map<std::string, remote_entry>& entries,
                             const std::string& name, const std::string& signature) {
  const auto found = entries.find(name);
  if (found == entries.end()) {
    throw codec_error("procpool: the server exposes nothing under the name '" + name + "'");
  }
  if (found->second.signature != signature) {
    throw codec_error("procpool: '" + name + "' is " + found->second.signature +
                      " at the server, and was called as " + signature);
  }
  return found->second;
}

}  // namespace

void exposures::share_objects() {
  for (const auto& [type_name, type] : types) {
    for (const auto& [name, object] : type.objects) {
      std::shared_ptr<held_object>& held = shared[object.get()];
      if (held == nullptr) held = std::make_shared<held_object>(object);
    }
  }
}

message_kind session::answer(const message& request, detail::heap_writer& reply,
                             std::size_t max_reply) {
  try {
    act(request, reply);
    if (reply.size() > max_reply) {
      throw codec_error("procpool: the result has " + std::to_string(reply.size()) +
                        " bytes, and max_message is " + std::to_string(max_reply));
    }
    return message_kind::value;
  } catch (...) {
    reply.take();  // drops what was written
    wire::encode_exception(reply, std::current_exception(), wire::origin::here(-1));
    if (reply.size() > max_reply) {
      const codec_error note("procpool: the text of an exception is longer than max_message");
      reply.take();
      wire::encode_exception(reply, std::make_exception_ptr(note), wire::origin::here(-1));
    }
    return message_kind::exception;
  }
}

void session::act(const message& request, detail::heap_writer& reply) {
  wire_reader in(request.bytes.data(), request.bytes.size());
  switch (request.kind) {
    case message_kind::call:
      return call(in, reply);
    case message_kind::method:
      return call_method(in, reply);
    case message_kind::make:
      return reply.write_value(make(in));
    case message_kind::find:
      return reply.write_value(find(in));
    default:
      throw codec_error("procpool: a remote server got no request");
  }
}

void session::call(wire_reader& in, wire_writer& out) const {
  const std::string name = take_text(in);
  const std::string signature = take_text(in);
  const remote_entry& entry = entry_at(exposed_.functions, name, signature);
  with_arguments(in, [&](wire_reader& arguments) { entry.run(nullptr, arguments, out); });
}

void session::call_method(wire_reader& in, wire_writer& out) const {
  const typed_object object = at(in.read_value<std::uint64_t>("an object"));
  const std::string name = take_text(in);
  const std::string signature = take_text(in);
  const remote_entry& entry = entry_at(object.type->methods, name, signature);
  const base::lock_guard one_at_a_time(object.held->mutex);
  void* const value = object.held->value.get();
  with_arguments(in, [&](wire_reader& arguments) { entry.run(value, arguments, out); });
}

std::uint64_t session::make(wire_reader& in) {
  const std::string name = take_text(in);
  const std::string signature = take_text(in);
  const detail::remote_type_entry& type = type_at(name);
  const auto constructor = type.constructors.find(signature);
  if (constructor == type.constructors.end()) {
    throw codec_error("procpool: the server makes no '" + name + "' of " + signature);
  }
  std::shared_ptr<void> value;
  with_arguments(in, [&](wire_reader& arguments) { value = constructor->second(arguments); });
  return keep({&type, std::make_shared<held_object>(std::move(value))});
}

std::uint64_t session::find(wire_reader& in) {
  const std::string type_name = take_text(in);
  const std::string name = take_text(in);
  in.expect_end();
  const detail::remote_type_entry& type = type_at(type_name);
  const auto found = type.objects.find(name);
  if (found == type.objects.end()) {
    throw codec_error("procpool: the server has no '" + type_name + "' that is called '" + name +
                      "'");
  }
  return keep({&type, exposed_.shared.at(found->second.get())});
}

std::uint64_t session::keep(typed_object object) {
  const base::lock_guard lock(mutex_);
  if (over_) throw manager_lost_error("procpool: this client is gone");
  if (objects_.size() >= max_objects_) {
    throw error("procpool: this client has " + std::to_string(max_objects_) +
                " objects, and may not have more (max_objects)");
  }
  objects_[next_] = std::move(object);
  return next_++;
}

typed_object session::at(std::uint64_t number) const {
  const base::lock_guard lock(mutex_);
  const auto found = objects_.find(number);
  if (found == objects_.end()) throw codec_error("procpool: this client has no such object");
  return found->second;
}

const detail::remote_type_entry& session::type_at(const std::string& name) const {
  const auto found = exposed_.types.find(name);
  if (found == exposed_.types.end()) {
    throw codec_error("procpool: the server exposes no type under the name '" + name + "'");
  }
  return found->second;
}

bool session::drop(std::uint64_t number) {
  typed_object object;  // destroyed without the lock
  const base::lock_guard lock(mutex_);
  const auto found = objects_.find(number);
  if (found == objects_.end()) return false;
  object = std::move(found->second);
  objects_.erase(found);
  return true;
}

void session::end() {
  std::map<std::uint64_t, typed_object> objects;  // destroyed without the lock
  const base::lock_guard lock(mutex_);
  over_ = true;
  objects.swap(objects_);
}

std::size_t session::object_count() const {
  const base::lock_guard lock(mutex_);
  return objects_.size();
}

}  // namespace procpool::remote
