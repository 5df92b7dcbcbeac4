#include "child/run_child.hpp"

#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <typeinfo>

#include "child/child_image.hpp"
#include "objects/file_objects.hpp"
#include "objects/worker_registry.hpp"
#include "os/child_setup.hpp"
#include "os/private_fds.hpp"
#include "os/program_signals.hpp"
#include "os/terminal.hpp"
#include "procpool/detail/rpc/process_start.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "runtime/process_role.hpp"
#include "shm/blocks.hpp"
#include "wire/exception_registry.hpp"

namespace procpool::worker {
namespace {

constexpr int exit_failed = 1;

void run_image(const shm::child_image& image) {
  if (image.code == 0) {
    reinterpret_cast<detail::process_body*>(image.closure)->run();
    return;
  }
  const auto thunk =
      reinterpret_cast<detail::run_thunk>(detail::from_code_ref(detail::code_ref{image.code}));
  detail::wire_reader task(reinterpret_cast<const std::byte*>(&image + 1), image.length);
  thunk(task);
}

std::string describe_current_exception() {
  try {
    throw;
  } catch (const std::exception& e) {
    return wire::exception_type_name(typeid(e)) + ": " + e.what();
  } catch (...) {
    return "one that is not a std::exception";
  }
}

// Written by one call, so that the lines of several processes do not mix.
void report_exception(const shm::child_image& image) {
  const char* name = image.name[0] != '\0' ? image.name : os::program_name();
  os::write_stderr("procpool: process " + std::string(name) + " (pid " +
                   std::to_string(os::this_process()) +
                   ") was ended by an exception: " + describe_current_exception() + "\n");
}

}  // namespace

void run_child(const launch::worker_context& context) {
  // As in a worker: a process forked from here gets neither the file nor the descriptors.
  runtime::install_fork_handlers();
  os::add_private_fd(context.region_fd);
  os::add_private_fd(context.page_fd);
  if (shm::attach_page(context.page_fd) != 0) os::leave_process(exit_failed);
  // Both live as long as the process, since its arguments may be views into them.
  static auto& view = *new shm::arena_view(context.region_fd, shm::child_arena_begin);
  const shm::u64 offset = shm::image_offset(context.argument);
  const shm::u64 length =
      reinterpret_cast<shm::child_image*>(view.at(offset, sizeof(shm::child_image)))->length;
  auto& image =
      *reinterpret_cast<shm::child_image*>(view.at(offset, sizeof(shm::child_image) + length));
  os::accept_signals(&image.signals);
  worker_registry::set_instance(
      *new worker_registry(context.page_fd, *shm::current_page(), image.row));
  shm::keep_file_mappings();
  if (image.name[0] != '\0') os::set_process_name(image.name);
  int code = 0;
  try {
    run_image(image);
  } catch (...) {
    report_exception(image);
    code = exit_failed;
  }
  std::fflush(nullptr);
  std::cout.flush();
  os::leave_process(code);
}

}  // namespace procpool::worker
