# isoq_link_v8(target) links a program with V8; isoq_install_executor(target sources...) installs one.
#
# A program on a private SDK runs with the SDK's C library, and so with the SDK's dynamic linker, too: the
# two come as a pair. The linker's path (PT_INTERP) is absolute and fixed at link time, and neither CMake's
# INSTALL_RPATH nor `$ORIGIN` reaches it. So the installed program is linked a second time, from the same
# objects, with the paths below the install prefix; and the run path is absolute as well, since `$ORIGIN`
# would need /proc in the place where the program starts.

set(ISOQ_V8_INSTALL_DIR lib/isoq/v8)

function(_isoq_link_v8_at target library_dir dynamic_linker)
  target_link_libraries(${target} PRIVATE V8::V8)
  if(NOT V8_LIBRARY_DIR)
    return()
  endif()
  # The old DT_RPATH holds for the libraries' own dependencies, too. The SDK's libraries may name symbol
  # versions which the C library of this machine, with which we link, does not have.
  target_link_options(${target} PRIVATE LINKER:--disable-new-dtags LINKER:--allow-shlib-undefined)
  if(dynamic_linker)
    target_link_options(${target} PRIVATE "LINKER:--dynamic-linker=${dynamic_linker}")
  endif()
  set_target_properties(${target} PROPERTIES
    BUILD_WITH_INSTALL_RPATH ON
    INSTALL_RPATH "${library_dir}")
endfunction()

function(isoq_link_v8 target)
  _isoq_link_v8_at(${target} "${V8_LIBRARY_DIR}" "${V8_DYNAMIC_LINKER}")
endfunction()

# Installs `target` (linked by isoq_link_v8 before) into libexec/isoq. `make install` sets the prefix at
# configuration; one given later, with `cmake --install --prefix`, would miss the paths and is refused.
# The target install-variant builds what only an installation needs.
function(isoq_install_executor target)
  add_custom_target(install-variant)
  if(NOT V8_DYNAMIC_LINKER)
    install(TARGETS ${target} RUNTIME DESTINATION libexec/isoq)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  get_target_property(libraries ${target} LINK_LIBRARIES)
  list(REMOVE_ITEM libraries V8::V8)
  cmake_path(GET V8_DYNAMIC_LINKER FILENAME linker_name)
  set(v8_dir "${CMAKE_INSTALL_PREFIX}/${ISOQ_V8_INSTALL_DIR}")

  add_executable(${target}-installed EXCLUDE_FROM_ALL ${sources})
  set_target_properties(${target}-installed PROPERTIES
    LINKER_LANGUAGE CXX
    OUTPUT_NAME ${target}
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/install-variant")
  target_link_libraries(${target}-installed PRIVATE ${libraries})
  add_dependencies(install-variant ${target}-installed)
  _isoq_link_v8_at(${target}-installed "${v8_dir}" "${v8_dir}/${linker_name}")

  # Which libraries of the SDK are needed: its own dynamic linker knows.
  install(CODE "
    if(NOT CMAKE_INSTALL_PREFIX STREQUAL \"${CMAKE_INSTALL_PREFIX}\")
      message(FATAL_ERROR \"isoq-executor is linked for ${CMAKE_INSTALL_PREFIX}: use `make install PREFIX=\${CMAKE_INSTALL_PREFIX}`\")
    endif()
    execute_process(COMMAND \"${V8_DYNAMIC_LINKER}\" --list \"$<TARGET_FILE:${target}>\"
      OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)
    set(directory \"\$ENV{DESTDIR}${v8_dir}\")
    file(REMOVE_RECURSE \"\${directory}\")
    file(MAKE_DIRECTORY \"\${directory}\")
    string(REGEX MATCHALL \"${V8_LIBRARY_DIR}/[^ \\n]+\" files \"\${listing}\")
    list(APPEND files \"${V8_DYNAMIC_LINKER}\")
    list(REMOVE_DUPLICATES files)
    foreach(file IN LISTS files)
      cmake_path(GET file FILENAME name)
      file(COPY_FILE \"\${file}\" \"\${directory}/\${name}\")
    endforeach()
    list(LENGTH files count)
    message(STATUS \"Installing: \${directory} (V8 ${V8_VERSION} and what it needs, \${count} libraries)\")
    # The licences of what was just copied.
    foreach(sdk IN ITEMS \"${V8_LIBRARY_DIR}/../..\" \"${V8_LIBRARY_DIR}/..\")
      file(GLOB licences RELATIVE \"\${sdk}/share/doc\" \"\${sdk}/share/doc/lib*/copyright\" \"\${sdk}/share/doc/zlib*/copyright\")
      foreach(licence IN LISTS licences)
        cmake_path(GET licence PARENT_PATH package)
        set(target \"\$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/share/doc/isoq/v8/\${package}\")
        file(MAKE_DIRECTORY \"\${target}\")
        file(COPY_FILE \"\${sdk}/share/doc/\${licence}\" \"\${target}/copyright\")
      endforeach()
    endforeach()
  ")
  install(PROGRAMS "$<TARGET_FILE:${target}-installed>" DESTINATION libexec/isoq)
endfunction()
