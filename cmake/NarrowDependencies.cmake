# Everything below comes from Debian packages; scripts/build.sh installs them and fetches onnx-ml.proto.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Protobuf REQUIRED)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg)
pkg_check_modules(CBC REQUIRED IMPORTED_TARGET cbc)
if(NARROW_TESTS)
  find_package(GTest REQUIRED)
endif()
if(NARROW_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

# The ONNX schema out of the onnx package (scripts/fetch_onnx_proto.sh), compiled at build time.
set(NARROW_ONNX_PROTO ${CMAKE_SOURCE_DIR}/.deps/onnx-ml.proto CACHE FILEPATH "onnx-ml.proto of the onnx package")
if(NOT EXISTS ${NARROW_ONNX_PROTO})
  message(FATAL_ERROR "NARROW_ONNX_PROTO: expected the file onnx-ml.proto, got nothing at ${NARROW_ONNX_PROTO}; "
                      "run scripts/fetch_onnx_proto.sh or set the variable")
endif()
get_filename_component(proto_dir ${NARROW_ONNX_PROTO} DIRECTORY)
set(proto_out ${CMAKE_BINARY_DIR}/onnx_proto)
file(MAKE_DIRECTORY ${proto_out})
add_custom_command(
  OUTPUT ${proto_out}/onnx-ml.pb.cc ${proto_out}/onnx-ml.pb.h
  COMMAND protobuf::protoc --proto_path=${proto_dir} --cpp_out=${proto_out} ${NARROW_ONNX_PROTO}
  DEPENDS ${NARROW_ONNX_PROTO})
add_library(narrow_onnx_proto STATIC ${proto_out}/onnx-ml.pb.cc)
target_include_directories(narrow_onnx_proto SYSTEM PUBLIC ${proto_out})
target_link_libraries(narrow_onnx_proto PUBLIC protobuf::libprotobuf)
