// How one build answered, sample by sample, beside the FP32 answers: everything the figures are made of.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "numerics/distortion.h"
#include "tensor/tensor.h"

namespace narrow::verify {

/// Sums of one sample. A figure that does not apply keeps count 0.
struct SampleScore {
  bool labelled = false, top1 = false, top5 = false;
  int64_t label = -1, answer = -1;
  double nll = 0;  // of next tokens, nats
  int64_t tokens = 0;
  double kld = 0;               // KL(FP32 || build) summed over rows
  int64_t rows = 0, agree = 0;  // rows of the first output, and those with the FP32 argmax
  double margin = 0;  // what FP32's answer has more than the next class, summed over rows; < 0 where it lost
  int64_t margin_rows = 0, halved = 0;  // rows where FP32's is finite; with less than half of FP32's left
  double signal = 0, noise = 0, product = 0,
         power = 0;  // sum ref^2, (build - ref)^2, ref * build, build^2, over the measured outputs
  double abs_error = 0, square_error = 0;  // against targets
  int64_t targets = 0;
};

/// What the data and the outputs say can be scored.
struct ScoreSpec {
  std::string first_output;
  std::vector<std::string> outputs;
  data::DatasetInfo data;
};

/// One batch of outputs into scores. `reference` are the FP32 outputs of the same inputs (the same tensors
/// when the build is the reference). Ties in an argmax go to the lowest index. Distances are over the float
/// outputs when there are any; where the data decides how many rows an output has, rows that one of the two
/// lacks count as zeros. Errors: invalid_data (a label outside the classes, a target no output is named like,
/// a labelled output of another shape).
Status score_batch(const ScoreSpec& spec, const data::Batch& batch, const TensorMap& outputs,
                   const TensorMap& reference, std::vector<SampleScore>& scores);

}  // namespace narrow::verify
