// Everything but what needs another library: procpool/asio.hpp (Asio), procpool/cereal.hpp
// (cereal), and procpool/remote.hpp (the component remote, with OpenSSL). Includes in full the
// standard headers of which the other headers have parts (detail/std).
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <ranges>

#include "procpool/any_executor.hpp"
#include "procpool/barrier.hpp"
#include "procpool/cancel.hpp"
#include "procpool/codec.hpp"
#include "procpool/combine.hpp"
#include "procpool/condition_variable.hpp"
#include "procpool/errors.hpp"
#include "procpool/event.hpp"
#include "procpool/exception.hpp"
#include "procpool/executor.hpp"
#include "procpool/future.hpp"
#include "procpool/init.hpp"
#include "procpool/inline_executor.hpp"
#include "procpool/invocation.hpp"
#include "procpool/latch.hpp"
#include "procpool/manager.hpp"
#include "procpool/map.hpp"
#include "procpool/mutex.hpp"
#include "procpool/options.hpp"
#include "procpool/partial.hpp"
#include "procpool/pipeline.hpp"
#include "procpool/process.hpp"
#include "procpool/process_pool_executor.hpp"
#include "procpool/progress.hpp"
#include "procpool/promise.hpp"
#include "procpool/queue.hpp"
#include "procpool/semaphore.hpp"
#include "procpool/shared_array.hpp"
#include "procpool/shared_value.hpp"
#include "procpool/stats.hpp"
#include "procpool/this_worker.hpp"
#include "procpool/thread_pool_executor.hpp"
#include "procpool/time.hpp"
#include "procpool/version.hpp"
#include "procpool/via.hpp"
#include "procpool/wait.hpp"
#include "procpool/worker_options.hpp"
