// What the values of a model did on the calibration data: the content of calibration.json.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "calib/histogram.h"
#include "calib/range.h"

namespace narrow::calib {

struct ValueProfile {
  Histogram histogram;
  /// Per index of the channel axis of the ONNX value (axis 1 of rank 4 and more, else the last); empty when
  /// not kept.
  std::vector<float> channel_min, channel_max, channel_mean;
  /// The mean of squares; empty in files of before it was kept.
  std::vector<float> channel_square;
  /// Minima and maxima of batches, averaged: after batch t the average moves by max(1/t, kAveraging) of the
  /// way to the batch's own. It depends on the order of the samples and the size of a batch.
  float average_min = 0, average_max = 0;
};

/// A hundred batches back a batch weighs 1/e of what the last one does.
constexpr double kAveraging = 0.01;

struct Profile {
  std::string model_hash, data_hash;
  int64_t samples = 0;
  std::map<std::string, ValueProfile> values;  // by ONNX value name
  /// What `auto` chose, by ONNX value name; empty when nobody asked.
  std::map<std::string, Method> methods;
  /// What `output-error` chose, by ONNX value name; empty when nobody asked.
  std::map<std::string, Range> ranges = {};
};

/// The range of one value by any method. `auto` is the method chosen for it and `output-error` the range, mse
/// where none was.
Range range_of(const Profile& profile, const std::string& value, const RangeOptions& options);

Json to_json(const Profile& profile);
/// Errors: not_found, io, invalid_data (what is wrong where).
Result<Profile> read_profile(const std::filesystem::path& path);
Status write_profile(const std::filesystem::path& path, const Profile& profile);
/// Error invalid_data when the profile was made from another model (or, when data_hash is given, other data).
Status check_origin(const Profile& profile, const std::string& model_hash, const std::string& data_hash);

}  // namespace narrow::calib
