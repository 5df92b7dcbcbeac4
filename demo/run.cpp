#include "demo/run.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <iterator>
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

pp::progress_options shown(const char* run, const options& options) {
  return {.label = run, .unit = "files", .quiet = options.quiet};
}

std::ptrdiff_t files_in(const file_stats& stats) {
  return static_cast<std::ptrdiff_t>(stats.documents + stats.binary_files + stats.problems.size());
}

}  // namespace

file_stats run_serially(const std::vector<std::string>& paths, const options& options) {
  merger sum;
  for (const std::string& path : pp::progress(paths, shown("serial", options))) {
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
  // A result is about a block of files; the bar counts files, as in the serial run.
  auto files = pp::progress(paths, shown("pool", options));
  auto read = files.begin();
  for (file_stats& part : results) {
    std::ranges::advance(read, files_in(part));
    sum.add(std::move(part));
    if (options.chaos) chaos.after_result(pool.stats());
  }
  const int workers = pool.max_workers();
  pool.shutdown();  // waits, so that every death has been told
  return {sum.take(), workers, chaos.killed(), retried};
}

}  // namespace demo
