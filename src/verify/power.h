// How many samples a wished proof needs, before they are collected.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "verify/figures.h"

namespace narrow::verify {

struct SamplePlan {
  double tolerance_pp = 0;
  std::string by;          // "top1", or "agreement" where there are no labels; empty: neither
  double discordance = 0;  // share of the samples where FP32 and the build differ in it
  int64_t needed = 0;      // samples_to_show of these
  int64_t there = 0;
  /// Figure and samples_to_detect of it, the fewest first: what sees a difference soonest.
  std::vector<std::pair<std::string, int64_t>> to_detect;
};

/// "0.5pp" -> 0.5. Error usage.
Result<double> parse_tolerance(const std::string& text);

/// Without labels no more answers can have become wrong than changed at all: agreement stands in for top1.
SamplePlan plan_samples(const Figures& figures, double tolerance_pp);
std::string text_of(const SamplePlan& plan);
Json to_json(const SamplePlan& plan);

}  // namespace narrow::verify
