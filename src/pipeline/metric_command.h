// --metric-cmd: a program of the user's that reads outputs and prints one number.
#pragma once

#include <string>

#include "base/result.h"
#include "data/dataset.h"
#include "tensor/tensor.h"

namespace narrow::pipeline {

/// Outputs (and labels and targets) of all samples, gathered batch by batch.
class OutputCollector {
 public:
  /// Error invalid_argument when an output's rows differ from those of earlier batches: they cannot be one
  /// array.
  Status add(const data::Batch& batch, const TensorMap& outputs);
  const TensorMap& arrays() const { return arrays_; }

 private:
  Status append(const std::string& name, const Tensor& rows);
  TensorMap arrays_;
};

/// Writes `arrays` to a temporary .npz, runs `COMMAND FILE` in a shell, reads the last number it prints.
/// Labels are the array "labels". Errors: invalid_argument when it fails or prints no number.
Result<double> run_metric_command(const std::string& command, const TensorMap& arrays);

}  // namespace narrow::pipeline
