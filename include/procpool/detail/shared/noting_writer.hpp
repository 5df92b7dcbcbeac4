// A heap_writer that keeps the shared objects whose handles it writes, until what receives the
// bytes keeps them as well. For one thread.
#pragma once

#include <vector>

#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/export.hpp"

namespace procpool::detail {

class PROCPOOL_EXPORT noting_writer final : public heap_writer {
 public:
  noting_writer() : heap_writer(&noting_writer::note) {}
  // Drops the written bytes and the objects.
  void restart();
  // Lists the objects after the written bytes; returns false if there are none.
  bool append_objects();
  std::vector<shared_object>& objects() { return objects_; }

 private:
  static void note(wire_writer& self, const shared_object& object);
  std::vector<shared_object> objects_;
};

}  // namespace procpool::detail
