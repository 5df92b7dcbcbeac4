#include "demo/run.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <utility>

#include <procpool/procpool.hpp>

#include "demo/chaos.hpp"
#include "demo/find_files.hpp"
#include "demo/merge.hpp"

namespace pp = procpool;

namespace demo {
namespace {

pp::start_method start_method_of(const std::string& name) {
  if (name == "fork") return pp::start_method::fork;
  if (name == "forkserver") return pp::start_method::forkserver;
  return pp::start_method::spawn;
}

// Files in a task: many, so that the parent has little to merge, but enough tasks to keep all
// workers busy to the end.
std::size_t block_size(std::size_t files, int workers) {
  constexpr std::size_t most = 32;
  constexpr std::size_t tasks_per_worker = 16;
  const std::size_t tasks = tasks_per_worker * static_cast<std::size_t>(workers);
  return std::clamp<std::size_t>(files / tasks, 1, most);
}

}  // namespace

file_stats run_serially(const std::vector<std::string>& paths, const options& options) {
  merger sum;
  for (const std::string& path : pp::progress(paths, {.label = "serial", .quiet = options.quiet})) {
    sum.add(analyze(path, options.keywords));
  }
  return sum.take();
}

pool_answer run_on_pool(const std::vector<std::string>& paths, const options& options) {
  std::atomic<std::uint64_t> retried = 0;
  pp::process_pool_executor pool({
      .max_workers = options.workers,
      .start = start_method_of(options.start),
      .on_worker_death =
          [&retried](const pp::task_killed& death) { retried += death.will_retry(); },
  });

  // A task whose worker is killed runs again. A hundred times are plenty: workers are killed only
  // after a result has come, so that the run gets on between two kills.
  auto results = pool.map({.task = {.retries = 100}}, pp::partial(analyze_files, options.keywords),
                          in_blocks(paths, block_size(paths.size(), pool.max_workers())));
  merger sum;
  chaos chaos;
  for (file_stats& part : pp::progress(results, {.label = "pool", .quiet = options.quiet})) {
    sum.add(std::move(part));
    if (options.chaos) chaos.after_result(pool.stats());
  }
  const int workers = pool.max_workers();
  pool.shutdown();  // waits, so that every death has been told
  return {sum.take(), workers, chaos.killed(), retried};
}

}  // namespace demo
