// Does calibration data represent what the model will see? The whole check, and what it found in words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "calib/check/channel_order.h"
#include "calib/check/convergence.h"
#include "calib/check/diversity.h"
#include "calib/check/inputs.h"
#include "calib/check/outliers.h"
#include "calib/check/scale.h"
#include "calib/check/values.h"
#include "data/dataset.h"
#include "ir/graph.h"

namespace narrow::calib {

struct DataCheckOptions {
  RangeOptions ranges;  // auto and moving-average, which a histogram cannot give, count as mse
  /// Samples of each set that are looked at, spread evenly; what is kept grows with them, not with the data.
  int64_t samples = 4096;
  uint64_t seed = 1;
};

/// One thing that was found. `kind` is for scripts: blank, duplicates, shared_samples, description, scale,
/// few_classes, alike_samples, channel_order, not_finite, input_differs, values_differ, ranges_differ,
/// drawn_otherwise, outliers, enough_samples, too_few_samples.
struct Finding {
  std::string kind;
  std::string sentence, remedy;
  bool fails = false;  // calibration does not represent evaluation because of it
};

/// A sample as a person knows it.
struct NamedOutlier {
  std::string name;
  Outlier figures;
};
struct NamedWidener {
  std::string name;
  Widener figures;
};

struct SetReport {
  std::string path;
  int64_t samples = 0, looked_at = 0;
  std::map<std::string, InputFacts> inputs;
  std::vector<std::string> blank;
  std::vector<std::vector<std::string>> duplicates;  // groups that are the same
  int64_t copies() const;                            // samples that are the same as an earlier one
  std::vector<NamedOutlier> outliers;
  std::vector<NamedWidener> wideners;
};

struct DataCheck {
  std::string not_finite;         // why the model could not be run over one of the sets; empty: it could
  int64_t shared_samples = 0;     // evaluation samples that are calibration samples, too
  bool represents = true;         // no finding fails
  std::vector<Finding> findings;  // those that fail first
  SetReport calibration, evaluation;
  std::map<std::string, ScaleRelation> scales;  // by input
  std::vector<ValueComparison> values;          // inputs first, then in the order of the model
  std::optional<ClassDiversity> labels, answers;
  std::optional<AnswerVariety> variety;
  std::optional<ChannelOrder> channels;
  Convergence convergence;
};

/// Runs the portable FP32 graph over both sets, and over a few samples with colour channels exchanged.
/// Deterministic for a seed; does not depend on threads. Errors: those of the data and of the runtime.
Result<DataCheck> check_data(const ir::Graph& graph, const data::Dataset& calibration,
                             const data::Dataset& evaluation, std::shared_ptr<ThreadPool> pool,
                             const DataCheckOptions& options = {}, const Progress& progress = {});

/// What follows from the figures: everything above but `findings` and `represents` filled in.
std::vector<Finding> findings_of(const DataCheck& check, const data::DatasetInfo& calibration,
                                 const data::DatasetInfo& evaluation);

Json to_json(const DataCheck& check);

}  // namespace narrow::calib
