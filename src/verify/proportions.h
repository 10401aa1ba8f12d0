// Shares of samples, and their differences on the same samples: intervals and tests that hold where few or no
// samples differ, where resampling what was seen knows of nothing else.
#pragma once

#include <cstdint>

#include "verify/statistics.h"

namespace narrow::verify {

/// Of n samples `yes` hold.
struct Share {
  int64_t samples = 0, yes = 0;
};

/// Of n samples FP32 and a build answered: right in FP32 only, right in the build only. The drop is
/// (lost - gained) / samples, between -1 and 1.
struct PairedCounts {
  int64_t samples = 0, lost = 0, gained = 0;
};

/// Standard normal: P(Z <= z), and its inverse for p in (0, 1).
double normal_cdf(double z);
double normal_quantile(double p);

/// Score test of a drop d: (lost - gained - n d) / sqrt(n (2 q + d (1 - d))), q the probability of `gained`
/// that is likeliest under d. Falls as d grows; normal when the drop is d. Source: Tango, "Equivalence test
/// and confidence interval for the difference in proportions for the paired-sample design", Statist. Med. 17,
/// 1998.
double tango_z(const PairedCounts& counts, double drop);
/// P of counts as good as these when the drop is `margin`: small proves a drop below it (non-inferiority).
double noninferiority_p(const PairedCounts& counts, double margin);
/// The drops that the score test does not reject at 1 - level, two-sided. [-1, 1] of no samples.
Interval tango_interval(const PairedCounts& counts, double level);

/// Score test and interval of one share (Wilson, "Probable inference", JASA 22, 1927); shares in [0, 1].
double wilson_z(const Share& share, double expected);
Interval wilson_interval(const Share& share, double level);

/// Samples at which the score test shows, one-sided at (1 - level) / 2 and with this power, that the drop is
/// below `margin` (in (0, 1)), when in truth there is none and `discordance` of the samples differ:
///   n = ((z_level sqrt(v_margin) + z_power sqrt(discordance)) / margin)^2,
/// v_margin the variance the test assumes, 2 q + margin (1 - margin) (Nam, Biometrics 53, 1997).
int64_t samples_to_show(double margin, double discordance, double level = 0.95, double power = 0.8);

}  // namespace narrow::verify
