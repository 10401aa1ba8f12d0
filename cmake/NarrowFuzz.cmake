# One libFuzzer program per parser, and one for the kernels, fuzz/NAME_fuzz.cpp: build with the preset `fuzz` (clang), run
# by scripts/fuzz.sh.
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "NARROW_FUZZ: expected clang, whose libFuzzer it needs, got ${CMAKE_CXX_COMPILER_ID}; "
                      "configure with --preset fuzz")
endif()
set(fuzz_layers_onnx passes onnx)
set(fuzz_layers_text ir)
set(fuzz_layers_artifact artifact)
set(fuzz_layers_calibration tensor)
set(fuzz_layers_dataset data)
set(fuzz_layers_npz data)
set(fuzz_layers_jpeg data)
set(fuzz_layers_kernels kernel_cases)
# calibration.json is read by these of calib's sources; the layer would bring the runtime and every kernel with it.
file(GLOB fuzz_sources_calibration src/calib/profile.cpp src/calib/histogram.cpp src/calib/range.cpp src/kernels/statistics/*.cpp)
list(FILTER fuzz_sources_calibration EXCLUDE REGEX "_(test|bench)\\.cpp$")
# Kernels step the pointer of an operand that is absent along with the others: null and an offset, never read. And
# comparisons of indices, two for every product, tell the fuzzer nothing: with them it runs at a third of the speed.
target_compile_options(narrow_kernels PRIVATE -fno-sanitize=pointer-overflow -fno-sanitize-coverage=trace-cmp)
foreach(name onnx text artifact calibration dataset npz jpeg kernels)
  add_executable(narrow_${name}_fuzz fuzz/${name}_fuzz.cpp ${fuzz_sources_${name}})
  target_compile_options(narrow_${name}_fuzz PRIVATE ${NARROW_WARNINGS})
  target_link_options(narrow_${name}_fuzz PRIVATE -fsanitize=fuzzer)
  list(TRANSFORM fuzz_layers_${name} PREPEND narrow_)
  target_link_libraries(narrow_${name}_fuzz PRIVATE ${fuzz_layers_${name}})
  list(APPEND fuzzers narrow_${name}_fuzz)
endforeach()
add_custom_target(fuzzers DEPENDS ${fuzzers})
