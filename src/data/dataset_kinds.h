// The kinds of dataset behind open_dataset().
#pragma once

#include <memory>

#include "data/config.h"
#include "data/dataset.h"

namespace narrow::data {

/// Photos decoded as they are read. `description`: the toml's text, part of the hash.
Result<std::unique_ptr<Dataset>> open_images(const Config& config, const std::filesystem::path& path,
                                             const std::vector<InputSpec>& inputs);
/// Arrays of .npz files, first axis the sample.
Result<std::unique_ptr<Dataset>> open_tensors(const Config& config, const std::filesystem::path& path,
                                              const std::vector<InputSpec>& inputs);
/// The same for one array set without a description (`narrow build --calib data.npz`).
Result<std::unique_ptr<Dataset>> open_arrays(TensorMap arrays, const std::filesystem::path& path,
                                             const std::vector<InputSpec>& inputs);

/// (x * scale - mean) / std for planes or interleaved channels, in place.
struct Normalisation {
  float scale = 1;
  std::vector<float> mean, std;
  float operator()(float x, int64_t channel) const {
    const auto at = [channel](const std::vector<float>& v, float none) {
      return v.empty() ? none : v[v.size() == 1 ? 0 : static_cast<size_t>(channel)];
    };
    return (x * scale - at(mean, 0)) / at(std, 1);
  }
};

/// The number of channels mean and std speak of must be 1 or `channels`.
Status check_normalisation(const Config& config, int64_t channels, const std::string& subject);
/// The input a dataset without per-name arrays feeds. Errors: invalid_data when it is not clear which.
Result<InputSpec> only_input(const Config& config, const std::vector<InputSpec>& inputs,
                             const std::string& subject);
/// 0 when the first axis is free, else the fixed batch.
int64_t fixed_batch(const InputSpec& input);
/// Samples a model of this batch (0: any) can be fed: what is left over of the last batch is not.
int64_t whole_batches(int64_t samples, int64_t batch);

}  // namespace narrow::data
