// Samples that are far from the rest of their set.
#pragma once

#include <string>
#include <vector>

#include "calib/check/samples.h"

namespace narrow::calib {

/// One sample and the figure of it that stands out most.
struct Outlier {
  int64_t at = 0;          // position in the selection
  double distance = 0;     // root mean square of its robust z over all values
  std::string value;       // where it stands out most
  bool by_spread = false;  // by the logarithm of its standard deviation there; else by its mean
  double figure = 0, median = 0,
         usual = 0;  // mean or deviation; of the set; 1.4826 times the median distance
  double z = 0;
};

/// Robust z of every sample's mean and log deviation at every value: distance from the median in units of
/// 1.4826 * median absolute distance (Rousseeuw & Croux, 1993; the factor makes it a deviation for normal
/// numbers). A sample is far when the root mean square over all values exceeds kFar. Largest first.
/// Sets smaller than kLeastForOutliers have none: a median of few says nothing of the rest.
std::vector<Outlier> find_outliers(const SetSamples& set);
/// Not one value but all of them, on the average, as far as one in 15,000 normal numbers is.
constexpr double kFar = 4;
/// A single z counts at most this much.
constexpr double kMostZ = 20;
constexpr int64_t kLeastForOutliers = 8;

/// A sample that alone makes the range of a value wider.
struct Widener {
  int64_t at = 0;
  std::string value;
  double share = 0;  // how much of the range of all others it adds
};
/// For each sample the value it widens most, if by more than kWidens; the most first.
std::vector<Widener> find_wideners(const SetSamples& set);
constexpr double kWidens = 0.5;

}  // namespace narrow::calib
