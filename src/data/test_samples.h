// For tests: a data set of tensors in memory.
#pragma once

#include <algorithm>
#include <cstring>

#include "data/dataset.h"

namespace narrow::data {

class Samples final : public Dataset {
 public:
  /// One tensor per input, the first axis the sample.
  explicit Samples(TensorMap inputs, std::string hash = "data") : inputs_(std::move(inputs)) {
    info_.hash = std::move(hash);
  }
  int64_t size() const override { return inputs_.begin()->second.dim(0); }
  Result<Batch> read(int64_t first, int64_t count, ThreadPool&) const override {
    Batch batch;
    batch.count = count;
    for (const auto& [name, all] : inputs_) {
      Shape shape = all.shape();
      const int64_t row = all.bytes() / shape[0];
      shape[0] = count;
      Tensor part = Tensor::allocate(all.dtype(), shape);
      std::memcpy(part.mutable_raw(), static_cast<const std::byte*>(all.raw()) + first * row,
                  static_cast<size_t>(part.bytes()));
      batch.inputs[name] = part;
    }
    return batch;
  }

 private:
  TensorMap inputs_;
};

}  // namespace narrow::data
