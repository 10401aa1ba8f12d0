// From scores to the figures of PRODUCT.md, each paired with FP32 and with its interval.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "verify/proportions.h"
#include "verify/scores.h"
#include "verify/statistics.h"

namespace narrow::verify {

/// One figure of one build. Shares (top1, top5, f1, agreement, margin_halved) are in percent, sqnr in dB.
struct Figure {
  double value = 0;
  Interval interval;                // of value, 95%
  std::optional<double> reference;  // the FP32 figure; nothing for figures that compare with FP32 by nature
  double change = 0;                // value - reference
  Interval change_interval;         // paired
  double sample_deviation = 0;      // of the per-sample change, for sample-count estimates
  double sample_change = 0;         // its mean: what FP32 would have, subtracted
  std::optional<Share> share = {};  // behind value, where every sample is a yes or a no
  std::optional<PairedCounts> paired = {};  // behind change, likewise
  /// Sorted bootstrap values, of figures that are no such counts.
  std::vector<double> resampled = {}, resampled_change = {};
  bool is_reference = false;  // FP32 against itself: nothing about it is uncertain but `value`
};

/// Intervals of another level than 95%: of counts from the score tests of proportions.h, else percentiles.
Interval interval_of(const Figure& figure, double level);
Interval change_interval_of(const Figure& figure, double level);

/// Samples at which a two-sided test at 5% sees that the build differs from FP32 in this figure with 80%
/// power, from the mean and deviation of its per-sample change: ((1.96 + 0.84) deviation / mean)^2. 0: no
/// difference.
int64_t samples_to_detect(const Figure& figure);

struct Figures {
  int64_t samples = 0;
  /// top1 top5 f1 perplexity mae rmse kld agreement margin margin_halved cosine sqnr
  std::map<std::string, Figure> by_name;
  double mcnemar_p = 1;  // of top1, when there are labels
};

struct FigureOptions {
  uint64_t seed = 1;
  int resamples = 1000;
  std::string only = {};  // one figure; empty: all
};

/// `scores` and `reference` are of the same samples in the same order. Only figures the data allows are
/// there. The same span twice is FP32 itself.
Figures make_figures(std::span<const SampleScore> scores, std::span<const SampleScore> reference,
                     const FigureOptions& options);
Figures make_figures(std::span<const SampleScore> scores, std::span<const SampleScore> reference,
                     uint64_t seed);

Json to_json(const Figures& figures);
/// "%", "dB" or nothing.
const char* unit_of(const std::string& figure);

}  // namespace narrow::verify
