# Plug-ins that use procpool, in every combination of copies: a copy in the program or none, copies
# in the plug-ins, the shared library. All of it is made of the objects that are there already.

set(plugin_dir "${CMAKE_CURRENT_SOURCE_DIR}/plugin")

if(BUILD_SHARED_LIBS)
  set(static_library procpool_internal)
  set(shared_library procpool)
else()
  set(static_library procpool)
  set(shared_library package_shared)
  add_library(package_shared SHARED $<TARGET_OBJECTS:procpool_objects>)
  target_include_directories(package_shared INTERFACE "${PROJECT_SOURCE_DIR}/include")
  target_compile_features(package_shared PUBLIC cxx_std_20)
  target_link_libraries(package_shared PUBLIC Threads::Threads PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(package_shared PROPERTIES LINKER_LANGUAGE CXX)
endif()

foreach(number IN ITEMS 1 2)
  add_library(package_plugin_${number} OBJECT plugin/plugin.cpp)
  target_compile_definitions(package_plugin_${number} PRIVATE PLUGIN_NUMBER=${number})
  target_link_libraries(package_plugin_${number} PRIVATE procpool)
  set_target_properties(package_plugin_${number} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  procpool_warnings(package_plugin_${number})
  foreach(linkage IN ITEMS static shared)
    set(target package_${linkage}_plugin_${number})
    add_library(${target} SHARED $<TARGET_OBJECTS:package_plugin_${number}>)
    target_link_libraries(${target} PRIVATE ${${linkage}_library})
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
    set(${linkage}_${number} "$<TARGET_FILE:${target}>")
  endforeach()
endforeach()

# Programs: without procpool, with a copy of it, with a copy that it exports, with the shared
# library, and with a copy and a plug-in that it is linked with.
add_executable(package_host plugin/host.cpp)
add_library(package_host_object OBJECT plugin/host.cpp)
target_compile_definitions(package_host_object PRIVATE HOST_USES_PROCPOOL)
target_link_libraries(package_host_object PRIVATE procpool)
foreach(target IN ITEMS package_host package_host_object)
  target_compile_features(${target} PRIVATE cxx_std_20)
  procpool_warnings(${target})
endforeach()
foreach(host IN ITEMS static exporting shared linked)
  add_executable(package_${host}_host $<TARGET_OBJECTS:package_host_object>)
  set_target_properties(package_${host}_host PROPERTIES LINKER_LANGUAGE CXX)
endforeach()
target_link_libraries(package_static_host PRIVATE ${static_library})
target_link_libraries(package_exporting_host PRIVATE ${static_library})
set_target_properties(package_exporting_host PROPERTIES ENABLE_EXPORTS ON)
target_link_libraries(package_shared_host PRIVATE ${shared_library})
target_link_libraries(package_linked_host PRIVATE
  ${static_library} -Wl,--no-as-needed package_static_plugin_1 -Wl,--as-needed)
foreach(host IN ITEMS host static_host exporting_host shared_host linked_host)
  target_link_libraries(package_${host} PRIVATE ${CMAKE_DL_LIBS})
endforeach()

# package.plugins.<name>.<start method>: a program, or a command, and what it is to load.
function(add_plugins_test name)
  cmake_parse_arguments(arg "" "" "COMMAND;PLUGINS" ${ARGN})
  foreach(method IN ITEMS spawn forkserver fork)
    set(test package.plugins.${name}.${method})
    add_test(NAME ${test} COMMAND ${arg_COMMAND} ${method} ${arg_PLUGINS})
    set_tests_properties(${test} PROPERTIES LABELS package TIMEOUT 180)
  endforeach()
endfunction()

foreach(host IN ITEMS host static_host shared_host)
  foreach(plugins IN ITEMS static_static shared_shared static_shared)
    string(REGEX MATCH "^[a-z]+" first ${plugins})
    string(REGEX MATCH "[a-z]+$" second ${plugins})
    add_plugins_test(${host}.${plugins} COMMAND package_${host}
      PLUGINS ${${first}_1} ${${second}_2})
  endforeach()
endforeach()
add_plugins_test(host.local_then_global COMMAND package_host PLUGINS ${static_1} global ${static_2})
add_plugins_test(host.global COMMAND package_host PLUGINS global ${static_1} ${static_2})
add_plugins_test(host.global_shared COMMAND package_host PLUGINS global ${shared_1} ${static_2})
add_plugins_test(static_host.global COMMAND package_static_host
  PLUGINS global ${static_1} ${static_2})
add_plugins_test(exporting_host COMMAND package_exporting_host PLUGINS ${static_1} ${static_2})
# The program's own functions come first for the plug-in that it is linked with.
add_plugins_test(linked_host COMMAND package_linked_host PLUGINS global ${static_1} ${static_2})

find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(python Python3::Interpreter -B "${plugin_dir}/load.py")
add_plugins_test(python.static COMMAND ${python} PLUGINS ${static_1} ${static_2})
add_plugins_test(python.shared COMMAND ${python} PLUGINS ${shared_1} ${shared_2})

# The main of a program must not run once more, as the server of a plug-in that cannot be loaded.
function(add_lost_plugin_test host how message)
  set(test package.plugins.${host}.${how})
  add_test(NAME ${test} COMMAND "${plugin_dir}/lose_plugin.sh" $<TARGET_FILE:package_${host}> ${how}
    ${static_1} "${CMAKE_CURRENT_BINARY_DIR}/${how}_for_${host}.so" ${message})
  set_tests_properties(${test} PROPERTIES LABELS package TIMEOUT 180)
endfunction()
add_lost_plugin_test(host removed "cannot open the library")
add_lost_plugin_test(static_host removed "cannot open the library")
add_lost_plugin_test(static_host replaced "the fork server could not load")

# A copy that has no hook to be found.
add_library(package_hidden_plugin SHARED $<TARGET_OBJECTS:package_plugin_1>)
target_link_libraries(package_hidden_plugin PRIVATE ${static_library} -Wl,--exclude-libs,ALL)
set_target_properties(package_hidden_plugin PROPERTIES LINKER_LANGUAGE CXX)
add_test(NAME package.plugins.hidden
  COMMAND package_host spawn $<TARGET_FILE:package_hidden_plugin>)
set_tests_properties(package.plugins.hidden PROPERTIES
  LABELS package TIMEOUT 180 PASS_REGULAR_EXPRESSION "does not export __libc_start_main")

add_test(NAME package.plugins.symbols COMMAND "${plugin_dir}/check_copies.sh"
  $<TARGET_FILE:${shared_library}> ${static_1} ${static_2})
add_test(NAME package.build_mode COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/check_build_mode.sh"
  "${CMAKE_CXX_COMPILER}" "${PROJECT_SOURCE_DIR}/include" $<TARGET_FILE:${static_library}>
  "${CMAKE_CURRENT_BINARY_DIR}/build_mode")
set_tests_properties(package.plugins.symbols package.build_mode PROPERTIES
  LABELS package TIMEOUT 180)
