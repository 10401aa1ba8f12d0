// From scores to the figures of PRODUCT.md, each paired with FP32 and with its interval.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "verify/scores.h"
#include "verify/statistics.h"

namespace narrow::verify {

/// One figure of one build. Shares (top1, top5, f1, agreement) are in percent, sqnr in dB.
struct Figure {
  double value = 0;
  Interval interval;                // of value, 95%
  std::optional<double> reference;  // the FP32 figure; nothing for figures that compare with FP32 by nature
  double change = 0;                // value - reference
  Interval change_interval;         // paired
  double sample_deviation = 0;      // of the per-sample change, for sample-count estimates
};

struct Figures {
  int64_t samples = 0;
  std::map<std::string, Figure> by_name;  // top1 top5 f1 perplexity mae rmse kld agreement cosine sqnr
  double mcnemar_p = 1;                   // of top1, when there are labels
};

/// `scores` and `reference` are of the same samples in the same order. Only figures the data allows are
/// there.
Figures make_figures(std::span<const SampleScore> scores, std::span<const SampleScore> reference,
                     uint64_t seed);

Json to_json(const Figures& figures);
/// "%", "dB" or nothing.
const char* unit_of(const std::string& figure);

}  // namespace narrow::verify
