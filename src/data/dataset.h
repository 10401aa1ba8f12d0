// Representative inputs, read a few samples at a time: photos, arrays, what a dataset.toml describes
// (PRODUCT.md, "Data").
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "parallel/thread_pool.h"
#include "tensor/tensor.h"

namespace narrow::data {

/// What the model wants: -1 is a free dimension.
struct InputSpec {
  std::string name;
  DType dtype = DType::f32;
  Shape dims;
  bool ranked = true;
};

struct Batch {
  int64_t count = 0;            // samples
  TensorMap inputs;             // by the model's input names, as the model takes them
  std::vector<int64_t> labels;  // empty when the data has none
  TensorMap targets;            // expected answers, first axis the sample
};

/// What a description says of photos: value = (pixel * scale - mean) / std, in this order of channels.
struct PixelFormat {
  std::string channels;  // RGB, BGR or GRAY
  double scale = 1;
  std::vector<float> mean, std;  // none, one, or one per channel
};

/// What the files say beside the samples.
struct DatasetInfo {
  std::string path;
  std::string hash;    // of the description and every file
  std::string metric;  // what a gate speaks of by default; may be empty
  bool has_labels = false;
  std::vector<std::string> targets;
  std::string next_token;  // the input whose tokens are predicted by their predecessors; may be empty
  /// 0: any; the model's batch where it is fixed; 1 where an input's samples do not lie along its first axis.
  int64_t largest_batch = 0;
  /// Inputs the data does not hold: each is the output of that name of the run before, zeros at first.
  /// Samples are then one sequence, read in order, one at a time.
  std::map<std::string, std::string> states;
  /// Of photos.
  std::optional<PixelFormat> pixels = {};
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Samples [first, first + count), decoded on the pool. count respects info().largest_batch.
  virtual Result<Batch> read(int64_t first, int64_t count, ThreadPool& pool) const = 0;
  const DatasetInfo& info() const { return info_; }
  /// What a person knows the sample by: its file, or "sample 17".
  virtual std::string sample_name(int64_t sample) const { return "sample " + std::to_string(sample); }
  /// The samples are a sequence from now on.
  void carry(std::map<std::string, std::string> states) {
    info_.states = std::move(states);
    if (!info_.states.empty() && info_.largest_batch == 0) info_.largest_batch = 1;
  }
  /// Samples per read that suit both memory and the model: `wanted` where the batch is free.
  int64_t batch_of(int64_t wanted) const { return info_.largest_batch > 0 ? info_.largest_batch : wanted; }

 protected:
  DatasetInfo info_;
};

/// A .toml, a folder with dataset.toml, an .npz or an .npy. Checked against the model's inputs.
/// Errors: not_found, io, invalid_data (no samples, a missing label, a shape the model does not take, unknown
/// keys).
Result<std::unique_ptr<Dataset>> open_dataset(const std::filesystem::path& path,
                                              const std::vector<InputSpec>& inputs);

}  // namespace narrow::data
