// Whether calibration has its colour channels in the order evaluation has them.
//
// Photos with red and blue exchanged are still photos: their means hardly move. But the model was trained on
// one order, and its own values know it. Every sample is run twice, as it is and with its first and last
// channel exchanged; evaluation says which values react and which way, and each calibration sample then votes
// whether it reacts as evaluation's samples do or the other way round. Differences are paired within a
// sample, so what the sample shows cancels.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "calib/check/samples.h"

namespace narrow::calib {

struct ChannelOrder {
  int64_t samples = 0, reversed = 0;  // votes of calibration, those the other way round
  /// The share of evaluation's samples that agree with the others (each half judged by the other half).
  double evaluation_agrees = 0;
  double chance = 1;  // how probable as many reversed votes are when votes are coin flips (sign test)
  double power = 0;   // how probably an exchange of all calibration samples would be found
  std::string value;  // the value that reacts most
  bool is_reversed = false;
};
/// A set is called reversed by mistake at most once in a thousand.
constexpr double kReversedChance = 0.001;
/// Samples of each set that are run a second time.
constexpr int64_t kSwapSamples = 128;

/// Moments of the first kSwapSamples, as they are and exchanged.
ChannelOrder compare_channel_order(const SetSamples& calibration, const SetSamples& calibration_swapped,
                                   const SetSamples& evaluation, const SetSamples& evaluation_swapped);

/// P(X >= k) for n coin flips of probability p.
double binomial_tail(int64_t n, int64_t k, double p);

Json to_json(const ChannelOrder& order);

}  // namespace narrow::calib
