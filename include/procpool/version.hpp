#pragma once

// The version of the library, for the preprocessor. CMake reads the three numbers from here, so
// that there is one place to change.

#define PROCPOOL_VERSION_MAJOR 0
#define PROCPOOL_VERSION_MINOR 1
#define PROCPOOL_VERSION_PATCH 0

// 10000 * major + 100 * minor + patch, for comparisons in #if.
#define PROCPOOL_VERSION \
  (PROCPOOL_VERSION_MAJOR * 10000 + PROCPOOL_VERSION_MINOR * 100 + PROCPOOL_VERSION_PATCH)
