// What happens at the end of the program to pools that were not shut down. This file knows none of
// them: each kind registers the function that ends what is left of it.
#pragma once

namespace procpool::runtime {

// In this order. Tasks of thread pools may use process pools, and both complete callbacks.
enum class finish_order { thread_pools, process_pools, callbacks };
inline constexpr int finish_orders = 3;

// `cancel`: the program ends with an error status, and what has not started is cancelled; otherwise
// (`return` from main, exit(0)) what was submitted runs.
using finisher = void (*)(bool cancel) noexcept;

// From now on the function is called when the program, not a worker or a server, ends. Each call
// registers the exit hook again, so that it runs before the destructors of objects that exist
// already. False: the system refused. Any thread.
bool finish_at_exit(finish_order order, finisher function) noexcept;

}  // namespace procpool::runtime
