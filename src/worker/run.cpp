#include "worker/run.hpp"

#include <cstdio>
#include <iostream>
#include <limits>
#include <string>

#include "objects/file_objects.hpp"
#include "objects/worker_registry.hpp"
#include "os/child_setup.hpp"
#include "os/futex.hpp"
#include "os/memfd.hpp"
#include "os/private_fds.hpp"
#include "os/program_signals.hpp"
#include "os/terminal.hpp"
#include "os/trace/crash_trace.hpp"
#include "procpool/errors.hpp"
#include "procpool/invocation.hpp"
#include "procpool/this_worker.hpp"
#include "runtime/process_role.hpp"
#include "shm/worker_argument.hpp"
#include "worker/growth.hpp"
#include "worker/loop.hpp"
#include "worker/settings.hpp"

namespace procpool::worker {
namespace {

int seat_of_this_process = -1;
shm::worker_block* block_of_this_process = nullptr;

constexpr int exit_disowned = 70;  // EX_SOFTWARE of sysexits.h

// Calls the initializer or the finalizer, whose arguments are in a block; code 0: there is none.
void run_hook(shm::arena_view& view, shm::u64 code, shm::u64 block, shm::u64 length) {
  if (code == 0) return;
  const auto thunk =
      reinterpret_cast<invocation::thunk_type>(detail::from_code_ref(detail::code_ref{code}));
  detail::wire_reader task(block == 0 ? nullptr : view.at(block, length), length);
  thunk(task);
}

// In a catch block: leaves the exception in the worker's block of the region, for the parent.
void report_failure(shm::worker_block& block, shm::u32 what) {
  class report_writer final : public detail::wire_writer {
   public:
    explicit report_writer(shm::worker_block& l)
        : wire_writer(l.report, l.report + shm::report_bytes, &grow) {}

   private:
    static void grow(wire_writer&, std::size_t) { throw codec_error("the report is full"); }
  } out(block);
  try {
    encode_current_exception(out);
    // relaxed: `ready` releases it
    block.report_length.store(static_cast<shm::u32>(out.size()), std::memory_order_relaxed);
  } catch (...) {
    block.report_length.store(0, std::memory_order_relaxed);
  }
  // release: the report
  block.ready.store(what, std::memory_order_release);
}

}  // namespace

int current_seat() noexcept { return seat_of_this_process; }

void leave_disowned() noexcept {
  if (block_of_this_process != nullptr)
    report_failure(*block_of_this_process, shm::descriptors_closed);
  os::leave_process(exit_disowned);
}

void run(const launch::worker_context& context) {
  // A process that a task forks may outlive the pool: it gets neither the region nor its
  // descriptor.
  runtime::install_fork_handlers();
  os::add_private_fd(context.region_fd);
  os::add_private_fd(context.page_fd);
  const auto seat = context.id.seat;
  seat_of_this_process = static_cast<int>(seat);
  shm::region region = shm::region::attach(context.region_fd);
  if (shm::attach_page(context.page_fd) != 0) os::leave_process(1);
  shm::process_page& page = *shm::current_page();
  const shm::region_header& header = region.header();
  shm::worker_block& block = region.worker(seat);
  block_of_this_process = &block;
  os::accept_signals(&block.signals);
  const auto given = shm::worker_argument::unpack(context.argument);
  worker_registry::set_instance(
      *new worker_registry(context.page_fd, page, given.row));  // for the rest of the worker's life
  shm::keep_file_mappings();
  // The parent has read the results of the partition's previous worker: its memory is freed.
  os::punch_hole(region.fd(), region.partition(given.partition), region.stride());
  os::trace_crashes(block.trace, shm::trace_bytes, block.trace_length);
  shm::arena_view view(region.fd(), region.arena_offset());
  const shm::worker_settings settings = shm::decode_settings(
      view.at(header.settings_block, header.settings_length), header.settings_length);
  try {
    apply(settings, seat, region.workers());
  } catch (...) {
    report_failure(block, shm::settings_failed);
    os::leave_process(1);
  }
  try {
    run_hook(view, header.initializer_code, header.initializer_block, header.initializer_length);
  } catch (...) {
    report_failure(block, shm::initializer_failed);
    os::leave_process(1);
  }
  // The initializer may have changed the user: see loop::maintain.
  if (!os::die_with_parent(context.server_pid)) os::leave_process(0);
  // release: the initializer is done
  block.ready.store(shm::worker_is_ready, std::memory_order_release);
  os::futex_wake(block.ready, std::numeric_limits<int>::max());  // pool::wait_for_workers
  result_blocks blocks(region, view, given.partition);
  invoker invoke(region, seat, view, blocks);
  loop work(region, page, seat, invoke, blocks, context.server_pid);
  const growth_limit growth(settings.max_memory_growth);
  work.run(header.tasks_per_worker, growth);
  try {
    run_hook(view, header.finalizer_code, header.finalizer_block, header.finalizer_length);
  } catch (const std::exception& e) {
    // No caller waits for the finalizer, so its error goes to standard error.
    os::write_stderr(std::string("procpool: the finalizer of a worker failed: ") + e.what() + "\n");
    os::leave_process(1);
  } catch (...) {
    os::write_stderr("procpool: the finalizer of a worker failed\n");
    os::leave_process(1);
  }
  // Output that tasks have not flushed. A worker that crashes loses it, as any program does.
  std::fflush(nullptr);
  std::cout.flush();
  os::leave_process(0);
}

}  // namespace procpool::worker

namespace procpool::this_worker {

std::optional<int> index() {
  const int seat = worker::current_seat();
  if (seat < 0) return std::nullopt;
  return seat;
}

}  // namespace procpool::this_worker
