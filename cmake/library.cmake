# procpool::procpool, static or shared by BUILD_SHARED_LIBS. The sources are compiled once, into
# objects: procpool is made of them, and so is procpool_internal, a static library for the tests of
# what the shared library hides.

find_package(Threads REQUIRED)

file(GLOB_RECURSE procpool_headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/procpool/*.hpp")
file(GLOB_RECURSE procpool_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp")
if(NOT procpool_sources)
  file(WRITE "${PROJECT_BINARY_DIR}/empty.cpp" "")
  set(procpool_sources "${PROJECT_BINARY_DIR}/empty.cpp")
endif()

# How the objects of a library are compiled: of this one and of components/.
function(procpool_compile_library objects)
  set_target_properties(${objects} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  procpool_warnings(${objects})
  if(PROCPOOL_UNITY)
    # A room is one translation unit: the names in its unnamed namespaces have to differ. Builds
    # without this option warn of what hides a name within a file.
    target_compile_options(${objects} PRIVATE -Wno-shadow)
    set_target_properties(${objects} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    get_target_property(sources ${objects} SOURCES)
    foreach(source IN LISTS sources)
      cmake_path(GET source PARENT_PATH folder)
      cmake_path(GET folder FILENAME room)
      set_source_files_properties("${source}" PROPERTIES UNITY_GROUP ${room})
    endforeach()
  endif()
  if(PROCPOOL_BUILD_FUZZERS)
    # Fuzzers look for inputs that reach new code, so the library counts what it reaches.
    target_compile_options(${objects} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

add_library(procpool_objects OBJECT ${procpool_sources})
target_compile_features(procpool_objects PUBLIC cxx_std_20)
target_include_directories(procpool_objects PRIVATE "${PROJECT_SOURCE_DIR}/include"
                                                    "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(procpool_objects PRIVATE Threads::Threads)
procpool_compile_library(procpool_objects)

# A static library hides what a shared one shows to its components: src/base/component_export.hpp.
# Where rooms are not compiled as one file, only the sources with those definitions differ between
# the two, and ccache knows the other objects of the second library.
if(NOT BUILD_SHARED_LIBS)
  if(PROCPOOL_UNITY)
    target_compile_definitions(procpool_objects PRIVATE PROCPOOL_HIDE_COMPONENT_EXPORTS)
  else()
    file(GLOB_RECURSE internal_headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.hpp")
    foreach(header IN LISTS internal_headers)
      file(STRINGS "${header}" exports REGEX "^ *PROCPOOL_COMPONENT_EXPORT ")
      if(exports)
        cmake_path(REPLACE_EXTENSION header LAST_ONLY cpp OUTPUT_VARIABLE source)
        set_source_files_properties("${source}" PROPERTIES
          COMPILE_DEFINITIONS PROCPOOL_HIDE_COMPONENT_EXPORTS)
      endif()
    endforeach()
  endif()
endif()

add_library(procpool $<TARGET_OBJECTS:procpool_objects>)
add_library(procpool::procpool ALIAS procpool)
target_compile_features(procpool PUBLIC cxx_std_20)
target_link_libraries(procpool PUBLIC Threads::Threads PRIVATE ${CMAKE_DL_LIBS})
target_sources(procpool PUBLIC
  FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${procpool_headers})
set_target_properties(procpool PROPERTIES
  LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  VERIFY_INTERFACE_HEADER_SETS ${PROJECT_IS_TOP_LEVEL})

if(BUILD_SHARED_LIBS)
  add_library(procpool_internal STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:procpool_objects>)
  target_include_directories(procpool_internal PUBLIC "${PROJECT_SOURCE_DIR}/include")
  target_compile_features(procpool_internal PUBLIC cxx_std_20)
  target_link_libraries(procpool_internal PUBLIC Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(procpool_internal PROPERTIES LINKER_LANGUAGE CXX)
else()
  add_library(procpool_internal ALIAS procpool)
endif()
