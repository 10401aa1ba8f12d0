# find_package(narrow): the target narrow::narrow.
include(${CMAKE_CURRENT_LIST_DIR}/narrow-targets.cmake)
