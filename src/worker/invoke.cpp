#include "worker/invoke.hpp"

#include "procpool/errors.hpp"
#include "procpool/exception.hpp"
#include "wire/exception_codec.hpp"
#include "worker/run.hpp"

namespace procpool::worker {

void encode_current_exception(detail::wire_writer& out) {
  wire::encode_exception(out, std::current_exception(), wire::origin::here(current_seat()));
}

void* invoker::resolve(shm::u64 code) {
  if (code == last_code_) return last_function_;
  last_function_ = detail::from_code_ref(detail::code_ref{code});
  last_code_ = code;
  return last_function_;
}

const std::byte* invoker::payload(shm::slot& s) {
  // relaxed: the claim acquired them
  const shm::u64 block = s.block.load(std::memory_order_relaxed);
  if (block == 0) return s.bytes;
  return view_->at(block, s.length.load(std::memory_order_relaxed));
}

void invoker::run(shm::slot& s) {
  if (s.chunk != 0) {
    run_chunk(s);
  } else {
    run_task(s);
  }
}

void invoker::run_task(shm::slot& s) {
  outcome_writer out(s, *blocks_);
  try {
    const auto thunk = reinterpret_cast<detail::task_thunk>(resolve(s.code));
    detail::wire_reader in(payload(s), s.length.load(std::memory_order_relaxed));
    thunk(in, out);
    out.finish(shm::outcome_kind::value);
    return;
  } catch (...) {
    out.restart();
    encode_current_exception(out);
  }
  out.finish(shm::outcome_kind::exception);
}

void invoker::run_chunk(shm::slot& s) {
  chunk_writer out(s, *blocks_);
  try {
    const auto thunk = reinterpret_cast<detail::chunk_thunk>(resolve(s.code));
    detail::wire_reader in(payload(s), s.length.load(std::memory_order_relaxed));
    thunk(in, out);
  } catch (...) {
    // Not an item's own error: the function could not be found or decoded, or there is no memory
    // for outcomes. It is the outcome of every item that has none.
    const auto& progress = *reinterpret_cast<shm::chunk_progress*>(s.bytes);
    const shm::u32 finished =
        std::max(out.first(), shm::progress_finished(progress.progress.load()));
    for (shm::u32 i = finished; i < out.count(); ++i) {
      out.begin(i);
      out.fail();
    }
  }
  out.finish_chunk();
}

}  // namespace procpool::worker
