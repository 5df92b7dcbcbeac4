#include "worker/invoke.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include "base/cycle_clock.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "procpool/errors.hpp"
#include "procpool/exception.hpp"
#include "wire/exception_codec.hpp"
#include "worker/run.hpp"

namespace procpool::worker {

void encode_current_exception(detail::wire_writer& out) {
  wire::encode_exception(out, std::current_exception(), wire::origin::here(current_seat()));
}

namespace {

// In a catch block. Ends this worker if the exception says that a task has closed the descriptor of
// the region: the file that has this number now may be one of the program's.
void leave_if_disowned() {
  try {
    throw;
  } catch (const shm::disowned_file&) {
    leave_disowned();
  } catch (...) {
    return;
  }
}

}  // namespace

void* invoker::resolve(shm::u64 code) {
  if (code == last_code_ && code != 0) return last_function_;  // 0: a damaged slot
  last_function_ = detail::from_code_ref(detail::code_ref{code});
  last_code_ = code;
  return last_function_;
}

const std::byte* invoker::payload(shm::slot& s) {
  // relaxed: the claim acquired the slot
  const shm::u64 block = s.block.load(std::memory_order_relaxed);
  if (block == 0) return s.bytes;
  try {
    return view_->at(block, s.length.load(std::memory_order_relaxed));
  } catch (const shm::disowned_file&) {
    // An earlier task has closed the descriptor. The present task has not begun: without the stamp
    // the sweep gives it to another worker. relaxed: read when this process is dead
    s.started.store(0, std::memory_order_relaxed);
    leave_disowned();
  }
}

void invoker::run(shm::slot& s) {
  if (s.traits == 0) {
    run_task(s);
  } else {
    run_special(s);
  }
}

// A chunk, or a task with a time limit. A task that changes the stamp helps itself little: the
// parent keeps the first one that it sees until the state word changes.
void invoker::run_special(shm::slot& s) {
  if ((s.traits & shm::is_watched) == 0) {
    run_chunk(s);
    return;
  }
  shm::run_stamp& stamp = region_->worker(seat_).running;
  // relaxed: the claim acquired the slot
  const shm::u64 generation = shm::generation_of(s.word.load(std::memory_order_relaxed));
  // release, twice: `begin` was cleared before `task` changes, and `task` is there before `begin`
  stamp.task.store(generation | static_cast<shm::u64>(&s - &region_->at(0)),
                   std::memory_order_release);
  stamp.begin.store(base::cycles(), std::memory_order_release);
  if ((s.traits & shm::is_chunk) != 0) {
    run_chunk(s);
  } else {
    run_task(s);
  }
  // relaxed: the publishing of the outcome releases it
  stamp.begin.store(0, std::memory_order_relaxed);
}

void invoker::run_task(shm::slot& s) {
  outcome_writer out(s, *blocks_);
  try {
    // relaxed, here and in run_chunk: the claim acquired the slot
    const auto thunk = reinterpret_cast<detail::task_thunk>(resolve(s.code));
    detail::wire_reader in(payload(s), s.length.load(std::memory_order_relaxed));
    thunk(in, out);
    out.finish(shm::outcome_kind::value);
    return;
  } catch (...) {
    leave_if_disowned();
    out.restart();
    encode_current_exception(out);
  }
  out.finish(out.no_room() != 0 ? shm::outcome_kind::no_room : shm::outcome_kind::exception);
}

void invoker::run_chunk(shm::slot& s) {
  chunk_writer out(s, *blocks_);
  try {
    const auto thunk = reinterpret_cast<detail::chunk_thunk>(resolve(s.code));
    detail::wire_reader in(payload(s), s.length.load(std::memory_order_relaxed));
    thunk(in, out);
  } catch (...) {
    // This is not the error of a single item: the function could not be found or decoded, or there
    // is no memory for outcomes. It becomes the outcome of every item that has none yet.
    leave_if_disowned();
    if (!fail_rest(s, out)) return;
  }
  out.finish_chunk();
}

// Returns false if there is no memory even for that; the chunk is then finished without it.
bool invoker::fail_rest(shm::slot& s, chunk_writer& out) {
  const auto& progress = *reinterpret_cast<shm::chunk_progress*>(s.bytes);
  const shm::u32 finished = std::max(out.first(), shm::progress_finished(progress.progress.load()));
  try {
    for (shm::u32 i = finished; i < out.count(); ++i) {
      out.begin(i);
      out.fail();
    }
    return true;
  } catch (const std::system_error& e) {
    out.finish_without_room(e.code().value());
  } catch (const std::exception&) {
    out.finish_without_room(ENOMEM);
  }
  return false;
}

}  // namespace procpool::worker
