# narrow_assets(layer CONSTANT=pattern ...)
# Embeds files as string constants of narrow::reports::assets (src/report/assets.h) into a generated source of the
# layer; the files a * stands for follow one another by name. Nothing generated enters the tree.
function(narrow_assets layer)
  set(output ${CMAKE_BINARY_DIR}/${layer}_assets.cpp)
  set(all "")
  set(entries "")
  foreach(entry ${ARGN})
    string(REGEX MATCH "^([^=]+)=(.+)$" matched "${entry}")
    set(constant ${CMAKE_MATCH_1})
    file(GLOB files CONFIGURE_DEPENDS "${CMAKE_MATCH_2}")
    list(APPEND all ${files})
    list(JOIN files "+" files)
    string(APPEND entries "|${constant}=${files}")
  endforeach()
  string(SUBSTRING "${entries}" 1 -1 entries)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -D OUTPUT=${output} -D "ENTRIES=${entries}" -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${all} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
  target_sources(narrow_${layer} PRIVATE ${output})
endfunction()

# Chart.js of the Debian package libjs-chart.js; the report carries it inside.
set(NARROW_CHART_JS /usr/share/javascript/chart.js/chart.min.js CACHE FILEPATH "chart.min.js of Chart.js 3")
if(NOT EXISTS ${NARROW_CHART_JS})
  message(FATAL_ERROR "NARROW_CHART_JS: expected the file chart.min.js of Chart.js 3, got nothing at "
                      "${NARROW_CHART_JS}; install libjs-chart.js (scripts/install_deps.sh) or set the variable")
endif()
