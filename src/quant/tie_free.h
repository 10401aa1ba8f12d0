// Scales under which no engine can round differently.
//
// A stored code is  round(acc * m + r * n),  acc and r integers,  m = x_scale * w_scale[c] / y_scale,
// n = r_scale / y_scale.  Engines compute this in float, each in its own order, and disagree by one where the
// exact value lies at a tie. With m = p / (q k) and n = s / q, q and k odd, it never does: acc p + r s k
// would have to be an odd half of q k, an odd number. The nearest it comes to a tie is 1 / (2 q k) of a step,
// which float arithmetic on values below 256 resolves for q k up to about 10^4. So scales are moved, by less
// than the search for them resolves, to such ratios; then a file gives the same codes in every engine that
// computes acc exactly.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "ir/graph.h"
#include "quant/recipe.h"
#include "quant/regions.h"

namespace narrow::quant {

struct Ratio {
  int64_t p = 0, q = 1;
  double value() const { return static_cast<double>(p) / static_cast<double>(q); }
};

/// p / (base * k) within `tolerance` of x, relatively, with the smallest odd k; nothing when base * k would
/// pass 2^14. x > 0, base odd.
std::optional<Ratio> tie_free_ratio(double x, double tolerance, int64_t base = 1);

/// What the scale of weights is moved to: as near to x as is to be had, 0.8 % away at most.
std::optional<Ratio> tie_free_weight_ratio(double x, int64_t base);

/// Moves scales while a recipe is planned. Activations first, in the order of the graph, then weights.
class TieFreeScales {
 public:
  TieFreeScales(const IntegerRegions& regions, Recipe& recipe) : regions_(regions), recipe_(recipe) {}

  /// `value` was just given its scale: where it holds the sum of a product and a stored value, the scale is
  /// moved (by 0.5 % at most) to an odd fraction of the stored one's.
  void move_stored_sum(const ir::Value* value);

  /// Moves the scales of a heavy node's weights (by 0.1 % where that suffices, 0.8 % at most).
  void move_weights(const ir::Node& node, Quantization& weights) const;

 private:
  const Quantization* stored(const ir::Value* value) const;
  const ir::Value* clamped(const ir::Value* value) const;

  const IntegerRegions& regions_;
  Recipe& recipe_;
  std::map<const ir::Value*, int64_t> denominators_;  // q of the residual, by the Add's output
};

}  // namespace narrow::quant
