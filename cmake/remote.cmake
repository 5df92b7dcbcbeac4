# procpool::remote, for programs that include procpool/remote.hpp: the cryptography of remote managers,
# from OpenSSL's libcrypto. All else of them is in procpool::procpool, which needs nothing.

if(PROCPOOL_BUILD_REMOTE STREQUAL "AUTO")
  find_package(OpenSSL 3 QUIET COMPONENTS Crypto)
elseif(PROCPOOL_BUILD_REMOTE)
  find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
endif()
if(NOT PROCPOOL_BUILD_REMOTE OR NOT TARGET OpenSSL::Crypto)
  return()
endif()

add_library(procpool_remote "${PROJECT_SOURCE_DIR}/src/remote/openssl_crypto.cpp")
add_library(procpool::remote ALIAS procpool_remote)
target_link_libraries(procpool_remote PUBLIC procpool PRIVATE OpenSSL::Crypto)
set_target_properties(procpool_remote PROPERTIES
  EXPORT_NAME remote
  CXX_EXTENSIONS OFF
  CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON
  POSITION_INDEPENDENT_CODE ON
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
procpool_warnings(procpool_remote)
