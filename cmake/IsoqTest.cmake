# isoq_add_test(name SOURCES f... [V8] [LIBS l...] [TIMEOUT seconds] [LABELS l...])
#   builds a Check program and registers it with ctest. V8: it links the engine. Scripts and programs of the
#   tree are found through the environment: ISOQ_TEST_BIN_DIR (isoq, isoq-executor), ISOQ_TEST_SOURCE_DIR.
# isoq_add_test_command(name COMMAND c... [TIMEOUT seconds] [LABELS l...])
#   registers a script with the same environment.
# isoq_add_fuzzer(name SOURCES f... CORPUS folder [LIBS l...])
#   builds a fuzz target: with ISOQ_FUZZ a libFuzzer program in <build>/fuzz, else a test that runs the corpus and
#   mutations of it.
include_guard()

function(_isoq_register_test name timeout labels)
  if(NOT timeout)
    set(timeout 120)
  endif()
  set(environment
    "ISOQ_TEST_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
    "ISOQ_TEST_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "ISOQ_TEST_JS_DIST=${PROJECT_BINARY_DIR}/engine-js/dist"
    "ISOQ_TEST_EXECUTOR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/isoq-executor")
  if(ISOQ_SANITIZE)
    # Not detect_stack_use_after_return: V8 measures its stack by the addresses of locals.
    list(APPEND environment
      "ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1"
      "UBSAN_OPTIONS=print_stacktrace=1"
      "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/cmake/lsan.supp:print_suppressions=0")
  endif()
  # A test that must see other variables, or none, sets them itself.
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${timeout}
    SKIP_RETURN_CODE 77
    LABELS "${labels}"
    ENVIRONMENT "${environment}")
endfunction()

function(isoq_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "V8" "TIMEOUT" "SOURCES;LIBS;LABELS")
  add_executable(${name} ${arg_SOURCES})
  isoq_set_up_target(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/bin")
  target_link_libraries(${name} PRIVATE ${arg_LIBS} PkgConfig::CHECK)
  if(arg_V8)
    isoq_link_v8(${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  _isoq_register_test(${name} "${arg_TIMEOUT}" "${arg_LABELS}")
endfunction()

function(isoq_add_test_command name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "COMMAND;LABELS")
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  _isoq_register_test(${name} "${arg_TIMEOUT}" "${arg_LABELS}")
endfunction()

function(isoq_add_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CORPUS" "SOURCES;LIBS")
  if(NOT ISOQ_FUZZ)
    list(APPEND arg_SOURCES fuzz/driver.c)
  endif()
  add_executable(${name} ${arg_SOURCES})
  isoq_set_up_target(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  if(ISOQ_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    isoq_add_test_command(${name} COMMAND ${name} 20000 "${arg_CORPUS}")
  endif()
endfunction()
