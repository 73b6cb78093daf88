# Script of isoq_js_bundles: brings COPY up to date with SOURCE and makes the OUTPUTS there.
file(COPY "${SOURCE}/" DESTINATION "${COPY}"
  PATTERN node_modules EXCLUDE
  PATTERN dist EXCLUDE)
file(MAKE_DIRECTORY "${COPY}/dist")
execute_process(COMMAND "${NPM}" run --silent build WORKING_DIRECTORY "${COPY}" COMMAND_ERROR_IS_FATAL ANY)
foreach(output IN LISTS OUTPUTS)
  if(NOT EXISTS "${output}")
    message(FATAL_ERROR "engine/js built no ${output}: ISOQ_JS_BUNDLES in cmake/IsoqBundles.cmake and build.mjs disagree")
  endif()
endforeach()
# A build that found nothing to change must not look out of date for ever.
file(TOUCH ${OUTPUTS})
