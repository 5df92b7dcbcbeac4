# The library, its headers, and the two ways to find them: the CMake package and pkg-config.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/procpool")
install(TARGETS procpool EXPORT procpool-targets FILE_SET HEADERS)
install(EXPORT procpool-targets NAMESPACE procpool:: DESTINATION "${package_dir}")

configure_package_config_file(cmake/procpool-config.cmake.in
  "${PROJECT_BINARY_DIR}/procpool-config.cmake" INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/procpool-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/procpool-config.cmake"
              "${PROJECT_BINARY_DIR}/procpool-config-version.cmake"
        DESTINATION "${package_dir}")

cmake_path(APPEND pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/procpool.pc.in "${PROJECT_BINARY_DIR}/procpool.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/procpool.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
