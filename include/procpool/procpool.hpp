// Everything but the integration headers (procpool/cereal.hpp).
#pragma once

#include "procpool/codec.hpp"
#include "procpool/errors.hpp"
#include "procpool/exception.hpp"
#include "procpool/future.hpp"
#include "procpool/init.hpp"
#include "procpool/invocation.hpp"
#include "procpool/map.hpp"
#include "procpool/options.hpp"
#include "procpool/partial.hpp"
#include "procpool/process_pool_executor.hpp"
#include "procpool/progress.hpp"
#include "procpool/stats.hpp"
#include "procpool/this_worker.hpp"
#include "procpool/version.hpp"
#include "procpool/wait.hpp"
