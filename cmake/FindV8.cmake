# Finds V8 and makes the imported target V8::V8.
#
# Looked at, in this order, the first one that is set or there:
#   V8_ROOT                    a prefix (<prefix>/include, <prefix>/lib) or an unpacked SDK; overrides everything
#   .v8/<ISOQ_V8_SUITE>/root   the private SDK made by cmake/v8-sdk.sh (`make v8`)
#   .v8/<VERSION_CODENAME>/root  its fallback, the distribution's own V8
#   the system's libnode-dev   (the container image)
#
# Results:
#   V8_VERSION                 from v8-version.h
#   V8_LIBRARY_DIR             where a private V8 has its libraries; empty for the system's
#   V8_DYNAMIC_LINKER          the ld-linux of a V8 that brings its own C library; else empty
# The last two matter to a program's link step: use isoq_link_v8() from IsoqV8.cmake.

include(FindPackageHandleStandardArgs)

set(ISOQ_V8_SUITE forky CACHE STRING "Debian suite whose V8 is used, from .v8/<suite>/root")
if(NOT V8_ROOT AND NOT "$ENV{V8_ROOT}" STREQUAL "")
  set(V8_ROOT "$ENV{V8_ROOT}")
endif()

if(V8_ROOT)
  cmake_path(ABSOLUTE_PATH V8_ROOT BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" NORMALIZE OUTPUT_VARIABLE _v8_root)
  if(NOT IS_DIRECTORY "${_v8_root}")
    message(FATAL_ERROR "V8_ROOT is ${_v8_root}, which is not a directory")
  endif()
else()
  cmake_host_system_information(RESULT _v8_codename QUERY DISTRIB_VERSION_CODENAME)
  set(_v8_root /usr)
  foreach(_v8_suite IN ITEMS ${ISOQ_V8_SUITE} ${_v8_codename})
    if(EXISTS "${PROJECT_SOURCE_DIR}/.v8/${_v8_suite}/MANIFEST")
      set(_v8_root "${PROJECT_SOURCE_DIR}/.v8/${_v8_suite}/root")
      # A fetch of another version configures the build again.
      set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY
        CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/.v8/${_v8_suite}/MANIFEST")
      if(NOT _v8_suite STREQUAL ISOQ_V8_SUITE)
        message(NOTICE "-- no V8 of ${ISOQ_V8_SUITE} in .v8; using the one of ${_v8_suite}")
      endif()
      break()
    endif()
  endforeach()
endif()
cmake_path(COMPARE "${_v8_root}" NOT_EQUAL /usr _v8_private)

# Found afresh at every configuration: a cached path would outlive a change of suite.
find_path(_v8_include_dir v8-inspector.h
  PATHS "${_v8_root}" NO_DEFAULT_PATH NO_CACHE
  PATH_SUFFIXES usr/include/nodejs/deps/v8/include include/nodejs/deps/v8/include include include/v8)
set(_v8_library_suffixes
  usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} lib/${CMAKE_LIBRARY_ARCHITECTURE} lib usr/lib lib64 usr/lib64)
set(V8_LIBRARIES)
foreach(_v8_name IN ITEMS v8 v8_libplatform v8_libbase)
  find_library(_v8_library_${_v8_name} ${_v8_name}
    PATHS "${_v8_root}" NO_DEFAULT_PATH NO_CACHE PATH_SUFFIXES ${_v8_library_suffixes})
  if(_v8_library_${_v8_name})
    list(APPEND V8_LIBRARIES "${_v8_library_${_v8_name}}")
  endif()
endforeach()
if(NOT _v8_library_v8)
  # A Node without Debian's libv8 links, or a monolithic V8.
  find_library(_v8_library_node NAMES node v8_monolith
    PATHS "${_v8_root}" NO_DEFAULT_PATH NO_CACHE PATH_SUFFIXES ${_v8_library_suffixes})
  set(V8_LIBRARIES "${_v8_library_node}")
endif()

set(V8_VERSION)
if(_v8_include_dir AND EXISTS "${_v8_include_dir}/v8-version.h")
  file(READ "${_v8_include_dir}/v8-version.h" _v8_header)
  foreach(_v8_part IN ITEMS MAJOR_VERSION MINOR_VERSION BUILD_NUMBER PATCH_LEVEL)
    if(_v8_header MATCHES "#define V8_${_v8_part} +([0-9]+)")
      list(APPEND V8_VERSION "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  list(JOIN V8_VERSION "." V8_VERSION)
endif()

set(V8_LIBRARY_DIR)
set(V8_DYNAMIC_LINKER)
if(_v8_private AND V8_LIBRARIES)
  list(GET V8_LIBRARIES 0 _v8_first)
  cmake_path(GET _v8_first PARENT_PATH V8_LIBRARY_DIR)
  # A C library next to V8 means that V8 was built against it and needs its dynamic linker as well.
  if(EXISTS "${V8_LIBRARY_DIR}/libc.so.6")
    file(GLOB _v8_linkers "${V8_LIBRARY_DIR}/ld-linux*.so.*" "${_v8_root}/lib64/ld-linux*.so.*"
      "${_v8_root}/lib/ld-linux*.so.*")
    if(_v8_linkers)
      list(GET _v8_linkers 0 V8_DYNAMIC_LINKER)
    endif()
  endif()
endif()

if(V8_ROOT)
  set(_v8_advice "V8_ROOT=${_v8_root} has no v8-inspector.h, or neither libv8 nor libnode")
else()
  set(_v8_advice "there is no V8 yet: run `make v8`, or set V8_ROOT to a prefix with V8's headers and libraries")
endif()
find_package_handle_standard_args(V8
  REQUIRED_VARS V8_LIBRARIES _v8_include_dir V8_VERSION
  VERSION_VAR V8_VERSION
  REASON_FAILURE_MESSAGE "${_v8_advice}")

if(V8_FOUND AND NOT TARGET V8::V8)
  add_library(V8::V8 INTERFACE IMPORTED)
  set_target_properties(V8::V8 PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${_v8_include_dir}"
    INTERFACE_LINK_LIBRARIES "${V8_LIBRARIES}")
  if(V8_VERSION VERSION_GREATER_EQUAL 12)
    target_compile_features(V8::V8 INTERFACE cxx_std_20)
  else()
    target_compile_features(V8::V8 INTERFACE cxx_std_17)
  endif()
endif()
