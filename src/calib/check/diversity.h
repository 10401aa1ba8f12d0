// Whether calibration shows as many different things as evaluation does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"

namespace narrow::calib {

/// exp of the entropy of how often each class came: as many classes as would give it when all came equally
/// often (Hill, "Diversity and Evenness", Ecology 1973).
double effective_classes(std::span<const int64_t> classes);

/// Two sets' classes (labels, or what the model answers).
struct ClassDiversity {
  int64_t samples = 0;                     // both are compared at: those of the smaller set
  double calibration = 0, evaluation = 0;  // effective classes at that size
  double chance = 1;                       // how probable so few in calibration are, if both were alike
  int64_t top_class = -1;                  // calibration's most frequent
  double top_share = 0, top_share_evaluation = 0;
  bool is_poor = false;
};
/// Calibration with less than half of evaluation's classes leaves most of them out.
constexpr double kPoorDiversity = 0.5;
/// One in a thousand pairs of sets that are alike may be called different.
constexpr double kRareChance = 0.001;

ClassDiversity compare_classes(std::span<const int64_t> calibration, std::span<const int64_t> evaluation,
                               uint64_t seed);

/// How much the model's answers vary from sample to sample: the summed variance of their sketches.
struct AnswerVariety {
  double ratio = 1;   // calibration's to evaluation's
  double chance = 1;  // how probable one as small is, if both varied alike
  bool is_poor = false;
};
AnswerVariety compare_variety(const std::vector<std::vector<double>>& calibration,
                              const std::vector<std::vector<double>>& evaluation, uint64_t seed);

Json to_json(const ClassDiversity& diversity);
Json to_json(const AnswerVariety& variety);

}  // namespace narrow::calib
