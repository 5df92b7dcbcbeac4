# The library, its headers, and the two ways to find them: the CMake package and pkg-config.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/procpool")
install(TARGETS procpool EXPORT procpool-targets FILE_SET HEADERS)
install(EXPORT procpool-targets NAMESPACE procpool:: DESTINATION "${package_dir}")

if(TARGET procpool_remote)
  install(TARGETS procpool_remote EXPORT procpool-remote-targets FILE_SET HEADERS)
  install(EXPORT procpool-remote-targets NAMESPACE procpool:: DESTINATION "${package_dir}")
endif()

configure_package_config_file(cmake/procpool-config.cmake.in
  "${PROJECT_BINARY_DIR}/procpool-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/procpool-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/procpool-config.cmake"
              "${PROJECT_BINARY_DIR}/procpool-config-version.cmake"
        DESTINATION "${package_dir}")

# procpool.pc finds the rest from where it lies itself, so that `cmake --install --prefix` and a
# folder that was moved work. Only a library folder given as an absolute path stands still.
set(pc_folder "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
if(NOT IS_ABSOLUTE "${pc_folder}")
  file(RELATIVE_PATH pc_up "/${pc_folder}" "/")
  string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_up}")
endif()
cmake_path(APPEND pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/procpool.pc.in "${PROJECT_BINARY_DIR}/procpool.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/procpool.pc" DESTINATION "${pc_folder}")
if(TARGET procpool_remote)
  # Who links a static library needs what it needs.
  set(pc_static_crypto)
  if(NOT BUILD_SHARED_LIBS)
    set(pc_static_crypto ", libcrypto >= 3")
  endif()
  configure_file(components/remote/procpool-remote.pc.in "${PROJECT_BINARY_DIR}/procpool-remote.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/procpool-remote.pc" DESTINATION "${pc_folder}")
endif()
