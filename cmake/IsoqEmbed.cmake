# isoq_embed(target PREFIX p HEADER h FILES f...) compiles text files into `target`.
#
# dir/foo-bar.lua becomes `const unsigned char p_foo_bar[]` and `const size_t p_foo_bar_len`; a NUL byte
# that the length does not count follows, so that the bytes also serve as a C string. h declares them all.
# The files may be made by the build.
function(isoq_embed target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PREFIX;HEADER" "FILES")
  set(directory "${PROJECT_BINARY_DIR}/generated")
  set(declarations)
  foreach(file IN LISTS arg_FILES)
    cmake_path(GET file STEM LAST_ONLY stem)
    string(MAKE_C_IDENTIFIER "${arg_PREFIX}_${stem}" symbol)
    set(output "${directory}/${symbol}.c")
    add_custom_command(
      OUTPUT "${output}"
      COMMAND "${CMAKE_COMMAND}" "-DINPUT=${file}" "-DOUTPUT=${output}" "-DSYMBOL=${symbol}"
        "-DHEADER=${arg_HEADER}" -P "${PROJECT_SOURCE_DIR}/cmake/embed-file.cmake"
      DEPENDS "${file}" "${PROJECT_SOURCE_DIR}/cmake/embed-file.cmake"
      COMMENT "Embedding ${stem} as ${symbol}"
      VERBATIM)
    target_sources(${target} PRIVATE "${output}")
    string(APPEND declarations
      "extern const unsigned char ${symbol}[];\nextern const size_t ${symbol}_len;\n")
  endforeach()
  set(text "/* Made by cmake/IsoqEmbed.cmake. */\n#pragma once\n#include <stddef.h>\n")
  string(APPEND text "#ifdef __cplusplus\nextern \"C\" {\n#endif\n${declarations}")
  string(APPEND text "#ifdef __cplusplus\n}\n#endif\n")
  file(CONFIGURE OUTPUT "${directory}/${arg_HEADER}" CONTENT "${text}" @ONLY)
  target_include_directories(${target} PUBLIC "${directory}")
endfunction()
