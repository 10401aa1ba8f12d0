// What a choice of scale factors costs once values and weights are stored in 8 bits.
//
// Values of a group are divided by factors s: x' = x / s, and the weights that read them take s up. In units
// of the results of the layers that read the group (which the choice does not change) the expected squared
// error is, up to a common 1 / 12,
//
//   F(s) =  sum_v  g_v  sum_c min(D_v(s)^2 s_c^2, 12 E[x_c^2]) a_c    rounding the values v that are stored,
//   per tensor
//         + sum_B  sum_o i_o d_Bo(s)^2  sum_c p_c / s_c^2     rounding the weights of the layers B, per
//         result channel o
//
//   D_v(s)  = ( max_c high_vc / s_c - min_c low_vc / s_c ) / 255      the step of v's bytes; both ends hold 0
//   d_Bo(s) = max_c s_c m_oc / e_B,  m_oc = max_k |W[o,c,k]|          the step of the weights of result o
//   e_B     = 127, or 7 of weights that will be stored in 4 bits
//   a_c     = sum_B sum_o i_o sum_k W[o,c,k]^2                        what an error of channel c does to the
//   results p_c     = K E[(x_c - mean_c)^2]                                   what an error of the weights
//   that read it does min     rounding errs by no more than the number itself: a channel of (nearly) zeros
//   does no harm g_v     = 1, less where averaging pools lie between;   i_o = importance of result o
//
// Weights that make the values do not appear: with a scale per channel their step shrinks with s_c as x'
// does. Nor do weights that read one channel per result (depthwise): s_c cancels, D_v is all there is, and
// its best is s_c ~ range_c whatever a_c. (For per-tensor weights both would appear, which is the formula of
// the paper.) But for the min, F is a sum of products of maxima and powers, convex in log s: it has one
// minimum.
//
// low_vc and high_vc are what is to be expected, not what calibration saw, r_c (the larger magnitude of the
// two): a channel that did little may do more on other data, and once it is scaled up that saturates. With R
// the largest r of the value and reach_c what the weights that make the channel say (3 sqrt(sum W^2 E[x^2]) +
// |bias|, in units of its median over r),
//
//   expected_c = R ( r_c^(1-q) max(r_c, reach_c)^q / R )^trust,    q = min(1, 2 (1 - trust))
//
// trust 1: r_c; 1/2: of the larger one half-way, in decibels, to the largest channel; 0: R.
#pragma once

#include <vector>

#include "calib/profile.h"
#include "quant/regions.h"
#include "quant/scale_groups.h"

namespace narrow::quant {

/// Bounds of a factor.
struct FactorBounds {
  double low = 0;      // the factor is at least this
  bool fixed = false;  // or exactly 1
};

class ScaleCost {
 public:
  /// `profile` may be null: then the extent of a channel is guessed from the weights that make it.
  /// `weight_bits`: of weights where enough of them are summed (Int8Options).
  ScaleCost(const ScaleGroup& group, const calib::Profile* profile, const IntegerRegions& regions,
            double trust, int weight_bits = 8);

  /// False when nothing of the group is stored in bytes, or calibration knows nothing of what is.
  bool known() const { return !stored_.empty(); }
  double at(const std::vector<double>& factors) const;
  struct Parts {
    double values = 0, weights = 0;
  };
  Parts parts_at(const std::vector<double>& factors) const;
  /// Factors within the bounds with the least cost found: the best of the family  range^a / weight^(1-a),
  /// a = 0, 0.1, ... 1, improved by descent. All ones where nothing is better.
  std::vector<double> best(const std::vector<FactorBounds>& bounds) const;
  /// Largest magnitude of a factor's channels in stored values, and in the weights that read them.
  const std::vector<double>& extents() const { return extent_; }

 private:
  struct Stored {
    std::vector<size_t> factor;           // per channel
    std::vector<double> low, high, most;  // most: 12 E[x^2]
    double gain;
  };
  struct Reader {
    std::vector<size_t> factor;  // per input channel
    int64_t outputs, inputs, groups;
    double steps;                    // e_B
    std::vector<double> largest;     // [outputs, inputs of a group]
    std::vector<double> power;       // per input channel
    std::vector<double> importance;  // per output
  };

  struct GroupInputs;

  void add_reader(const ScaledLayer& layer, const calib::Profile* profile, const std::vector<double>& reach);
  void add_stored(const ScaledValue& value, const calib::Profile* profile, const std::vector<double>& reach,
                  double gain);
  /// What calibration saw of each channel, and what is expected of it.
  void expect(const calib::ValueProfile& seen, const std::vector<double>& reach, Stored& stored) const;
  double step_of(const Stored& stored, const std::vector<double>& s) const;
  void normalise(std::vector<double>& s, const std::vector<FactorBounds>& bounds) const;
  /// d F / d log s with maxima replaced by norms of order kOrder: what pulls each factor up and what down.
  void pulls(const std::vector<double>& s, std::vector<double>& up, std::vector<double>& down) const;

  double trust_;
  int weight_bits_;
  size_t count_;  // of factors; number count_ is the one that stays 1
  std::vector<Stored> stored_;
  std::vector<Reader> readers_;
  std::vector<double> gain_;  // a_c, per factor
  std::vector<double> extent_, weight_;
};

}  // namespace narrow::quant
