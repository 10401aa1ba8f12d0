// dataset.toml as a struct.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/image.h"

namespace narrow::data {

enum class Layout : uint8_t { nchw, nhwc };

struct Config {
  std::string kind;  // images | tensors
  std::filesystem::path root;
  std::string files;
  int64_t height = 0, width = 0;  // 0: as the model says
  Channels channels = Channels::rgb;
  Layout layout = Layout::nchw;
  /// value = (pixel * scale - mean) / std, per channel; normalise is false when none of the three is given.
  bool normalise = false;
  float scale = 1;
  std::vector<float> mean, std;
  std::string input, labels, metric, next_token;
  std::vector<std::string> targets;
  std::map<std::string, std::string> states;  // input -> the output that is its next value
};

/// Errors: invalid_data naming the key; unknown keys are errors too.
Result<Config> read_config(const std::filesystem::path& path);
/// Files below config.root that match config.files, sorted by path. Error: not_found, invalid_data when none
/// match.
Result<std::vector<std::filesystem::path>> list_files(const Config& config);

}  // namespace narrow::data
