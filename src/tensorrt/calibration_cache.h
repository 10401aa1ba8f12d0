// TensorRT's calibration.cache: the ranges of an implicitly quantized network, which TensorRT 5 to 10 read in
// place of calibrating (IInt8EntropyCalibrator2::readCalibrationCache, trtexec --calib=FILE). TensorRT 11 has
// only explicit quantization (rules.h).
//
//   TRT-100300-EntropyCalibration2         version (10.3.0), algorithm
//   input: 3c010a14                        one tensor a line: its name, the bits of its scale
//
// The scale is that of s8 without zero point, max(|low|, |high|) / 127; its bits are the eight lower-case
// hexadecimal digits of the IEEE-754 float, most significant first. Names stand as they are, spaces and ": "
// included: the digits follow the last ": ".
//
// Sources: TensorRT samples, sampleINT8/README.md, "Calibration file"; NVIDIA/TensorRT issue 625.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace narrow::tensorrt {

/// TensorRT 10.3.0, counted as NV_TENSORRT_VERSION does since 10: major * 10000 + minor * 100 + patch.
constexpr int64_t kCacheVersion = 100300;

/// The scale of the range [low, high] in a cache. A range of width 0 has scale 1/127 (a magnitude of 1):
/// TensorRT refuses 0.
float cache_scale(float low, float high);

/// The file for `scales`, by tensor name. Errors: invalid_argument naming the tensor: a name with a line
/// break (the format has no way to write it), a scale that is not positive and finite.
Result<std::string> calibration_cache(const std::map<std::string, float>& scales,
                                      int64_t version = kCacheVersion);

/// What calibration_cache() wrote, or TensorRT: any version, any algorithm. Errors: invalid_data naming the
/// line.
Result<std::map<std::string, float>> parse_calibration_cache(std::string_view text);

}  // namespace narrow::tensorrt
