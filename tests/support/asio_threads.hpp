// The threads of Asio's system context, where the handlers of use_future run: some for each CPU.
// With which handler they start depends on the version of Asio; it keeps them until the program
// ends.
#pragma once

#include "support/pool_test.hpp"

namespace procpool::testing {

// The leak check counts them no more. The pool is there before, since a program with threads cannot
// fork it; its own threads have begun when a task is done.
template <class Post>
void start_system_context(process_pool_executor& pool, Post post) {
  pool.submit([] {}).get();
  const int before = holdings::now().threads;
  post().get();
  keep_threads(holdings::now().threads - before);
}

}  // namespace procpool::testing
