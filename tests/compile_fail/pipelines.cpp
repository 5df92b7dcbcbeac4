// Pipelines whose stages do not fit, and via with what is no executor.
#include "procpool/procpool.hpp"

using namespace procpool;

std::string to_text(int);
double measure(const std::string&);
int twice(int);
void print(int);

struct word {};

void use(process_pool_executor& pool, const std::vector<int>& numbers) {
#if !MISTAKE
  const auto p = pipeline(stage(pool, to_text), stage(pool, {.retries = 1}, measure));
  (void)p.run(numbers);
  p.for_each(numbers);
  pipeline(stage(pool, twice), stage(pool, print)).for_each({1, 2});
#endif
#if MISTAKE == __LINE__
  // error: a stage of this pipeline cannot be called with the result of the stage before it
  // never: no matching
  // never: void
  (void)pipeline(stage(pool, to_text), stage(pool, twice), stage(pool, measure)).run(numbers);
#endif
#if MISTAKE == __LINE__
  // error: a stage of this pipeline cannot be called with the result of the stage before it
  // never: no matching
  (void)pipeline(stage(pool, to_text), stage(pool, measure)).run(std::vector<word>());
#endif
#if MISTAKE == __LINE__
  // error: a stage of this pipeline cannot be called with the result of the stage before it
  pipeline(stage(pool, to_text), stage(pool, measure)).for_each({word()});
#endif
#if MISTAKE == __LINE__
  // error: a stage of this pipeline returns nothing, so the next one has no argument
  // never: no matching
  (void)pipeline(stage(pool, print), stage(pool, twice)).run(numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the last stage returns nothing, so run has no results: use for_each
  // never: no matching
  (void)pipeline(stage(pool, twice), stage(pool, print)).run(numbers);
#endif
#if MISTAKE == __LINE__
  // error: dropping the results cancels the
  pipeline(stage(pool, to_text), stage(pool, measure)).run(numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a pipeline needs at least one stage
  (void)pipeline();
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)pipeline(stage(pool, [&](int x) { return x + numbers[0]; })).run(numbers);
#endif
}

struct task {
  struct promise_type {
    task get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

task wait(process_pool_executor& pool, word& nothing) {
#if !MISTAKE
  co_await via([](const auto& f) { f(); }, pool.submit(twice, 1));
#endif
#if MISTAKE == __LINE__
  // error: procpool: a coroutine cannot continue in a worker process
  co_await via(pool, pool.submit(twice, 1));
#endif
#if MISTAKE == __LINE__
  // error: procpool: via needs an executor
  co_await via(nothing, pool.submit(twice, 1));
#endif
  co_return;
}
