// What a model's values did, sample by sample: everything that tells a difference between two sets from the
// noise of having few samples. Values themselves are never kept.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "calib/check/compare.h"
#include "calib/check/convergence.h"
#include "calib/check/noise.h"
#include "calib/check/selection.h"
#include "calib/check/swap_channels.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::calib {

/// How the values of one name are counted: by parts of the line, or for ids by category.
struct Counting {
  std::optional<Parts> parts;
  std::map<int64_t, uint8_t> part_of_category;  // ids that are not there are of the last part
  int64_t count = 1;                            // of parts
};

/// Parts of about equal shares out of how often each id came, the most frequent first, and one for all
/// others.
Counting count_categories(const std::map<int64_t, int64_t>& categories);

/// One sample of one value.
struct Moments {
  float mean = 0, spread = 0;  // of the finite elements
  float low = 0, high = 0;
};

struct ValueSamples {
  std::string node;                 // "Conv 'conv_1'"; "input" of a model's input
  std::array<Histogram, 2> halves;  // every other sample; a sequence's first and second half
  std::vector<Counts> groups;       // counts per part, of each group of samples
  Counts parts;                     // the same of all samples
  std::vector<Moments> moments;     // by position in the selection; empty for ids

  Histogram all() const;
};

struct SetSamples {
  Selection selection;
  std::map<std::string, ValueSamples> values;  // by ONNX value name
  std::vector<std::string> order;              // names as the model computes them
  /// The class each sample is answered, where the first output is [N, classes]; else empty.
  std::vector<int64_t> answers;
  /// Outputs of each unit, projected to kSketch numbers: distances between them are about those of the
  /// outputs (Achlioptas, "Database-friendly random projections", 2003).
  std::vector<std::vector<double>> sketches;
  std::vector<Snapshot> snapshots;
};
constexpr int64_t kSketch = 16;

struct RunOptions {
  /// Of samples, that noise is estimated with; samples beyond the last group are in none.
  Grouping grouping;
  /// Inputs of which the first and the last channel are exchanged.
  std::map<std::string, ChannelSwap> swapped_channels;
  bool moments_only = false;
  /// After how many samples ranges are noted.
  std::vector<int64_t> snapshots;
  RangeOptions ranges;
};

/// Runs the FP32 graph over the selection. `counting` says which values are counted, by name.
/// Errors: those of the data; numerical when a value is NaN (names the node and the sample).
Result<SetSamples> run_samples(const ir::Graph& graph, const data::Dataset& dataset,
                               const Selection& selection, const std::map<std::string, Counting>& counting,
                               std::shared_ptr<ThreadPool> pool, const RunOptions& options = {},
                               const Progress& progress = {});

/// Mean, deviation, least and largest of the finite values; pieces go to threads, the result does not depend
/// on how many.
Moments moments_of(std::span<const float> values, ThreadPool& pool);

}  // namespace narrow::calib
