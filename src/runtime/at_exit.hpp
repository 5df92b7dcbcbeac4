// The end of the program, for pools that were not shut down. This file knows no kind of pool: each
// kind registers a function that ends its remaining pools.
#pragma once

namespace procpool::runtime {

// In this order. Tasks of thread pools may use process pools, and both complete callbacks.
enum class finish_order { thread_pools, process_pools, callbacks };
inline constexpr int finish_orders = 3;

// `cancel`: the program ends with an error status, and tasks that have not started are cancelled;
// otherwise (`return` from main, exit(0)) all submitted tasks run.
using finisher = void (*)(bool cancel) noexcept;

// From now on the function is called when the program ends (not when a worker or a server does).
// Each call registers the exit hook again, so that it runs before the destructors of objects that
// exist already. Returns false if the system refused. Any thread.
bool finish_at_exit(finish_order order, finisher function) noexcept;

}  // namespace procpool::runtime
