# libnarrow.so with the interface of include/narrow, and `cmake --install`: program, library, headers, CMake package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Only what is marked NARROW_API is visible; the layers and the generated schema behind it are not.
set_target_properties(narrow_api PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
add_library(narrow_lib SHARED $<TARGET_OBJECTS:narrow_api>)
add_library(narrow::narrow ALIAS narrow_lib)
target_link_libraries(narrow_lib PRIVATE narrow_runtime)
target_link_options(narrow_lib PRIVATE LINKER:--exclude-libs,ALL LINKER:--no-undefined)
target_include_directories(narrow_lib PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
                                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(narrow_lib INTERFACE cxx_std_20)
set_target_properties(narrow_lib PROPERTIES OUTPUT_NAME narrow EXPORT_NAME narrow VERSION ${PROJECT_VERSION}
                                            SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/narrow)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/narrow-config-version.cmake COMPATIBILITY SameMinorVersion)
install(TARGETS narrow)
install(TARGETS narrow_lib EXPORT narrow-targets)
install(DIRECTORY include/narrow DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT narrow-targets NAMESPACE narrow:: DESTINATION ${package_dir})
install(FILES cmake/narrow-config.cmake ${CMAKE_BINARY_DIR}/narrow-config-version.cmake DESTINATION ${package_dir})
