# isoq_js_bundles(variable): builds the JavaScript that the engine carries, and sets `variable` to the files.
#
# npm works on a copy in the build folder, so the source tree never gets a node_modules. Two steps: packages
# are installed again only when the lock file changes.
set(ISOQ_JS_BUNDLES errors idna inspect multibyte text url)

function(isoq_js_bundles variable)
  set(source "${PROJECT_SOURCE_DIR}/engine/js")
  set(copy "${PROJECT_BINARY_DIR}/engine-js")
  if(NOT EXISTS "${source}/package.json")
    set(${variable} "" PARENT_SCOPE)
    return()
  endif()
  find_program(NPM npm)
  if(NOT NPM)
    message(FATAL_ERROR "npm is needed to bundle engine/js: run cmake/setup.sh, or install nodejs with npm")
  endif()
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${source}" "${source}/*")
  list(FILTER files EXCLUDE REGEX "(^|/)(node_modules|dist)/")
  set(package_files package.json)
  foreach(name IN ITEMS package-lock.json .npmrc)
    if(EXISTS "${source}/${name}")
      list(APPEND package_files ${name})
    endif()
  endforeach()
  list(APPEND files ${package_files})
  list(REMOVE_DUPLICATES files)
  list(TRANSFORM package_files PREPEND "${source}/" OUTPUT_VARIABLE package_paths)
  list(TRANSFORM files PREPEND "${source}/" OUTPUT_VARIABLE paths)

  set(stamp "${copy}/node_modules/.isoq-stamp")
  add_custom_command(
    OUTPUT "${stamp}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${copy}"
    COMMAND "${CMAKE_COMMAND}" -E copy ${package_paths} "${copy}"
    COMMAND "${CMAKE_COMMAND}" -E chdir "${copy}"
      "${NPM}" ci --no-audit --no-fund --loglevel=error
    COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
    DEPENDS ${package_paths}
    COMMENT "Installing the packages of engine/js"
    VERBATIM)
  set(outputs)
  foreach(name IN LISTS ISOQ_JS_BUNDLES)
    list(APPEND outputs "${copy}/dist/${name}.js")
  endforeach()
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND "${CMAKE_COMMAND}" "-DSOURCE=${source}" "-DCOPY=${copy}" "-DNPM=${NPM}" "-DOUTPUTS=${outputs}"
      -P "${PROJECT_SOURCE_DIR}/cmake/build-js.cmake"
    DEPENDS "${stamp}" ${paths} "${PROJECT_SOURCE_DIR}/cmake/build-js.cmake"
    COMMENT "Bundling engine/js"
    VERBATIM)
  set(${variable} ${outputs} PARENT_SCOPE)
  install(FILES "${copy}/dist/THIRD_PARTY_LICENSES" DESTINATION share/doc/isoq OPTIONAL)
endfunction()
