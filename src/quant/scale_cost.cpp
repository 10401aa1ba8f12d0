#include "quant/scale_cost.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "passes/match.h"
#include "quant/channel_profile.h"
#include "quant/plan_formats.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

constexpr double kValueSteps = 255;
/// A channel that calibration saw doing next to nothing may do more later: it grows by a byte's range at
/// most.
constexpr double kMostGrowth = 256;

/// The one axis along which factors vary; -1: none or several.
int64_t varying_axis(const ChannelIds& ids) {
  int64_t found = -1;
  for (int64_t a = 0; a < ids.rank(); ++a) {
    if (!ids.varies(a)) continue;
    if (found >= 0) return -1;
    found = a;
  }
  return found;
}

/// How an error at the input of a node that lets factors pass shrinks on its way through: means of many
/// elements.
double passed(const Node& node) {
  const auto count = [&](const ir::TensorType& type) {
    double n = 1;
    for (size_t a = 2; a < type.dims.size(); ++a)
      n *= static_cast<double>(std::max<int64_t>(type.dims[a].value, 1));
    return n;
  };
  if (node.op() == Op::GlobalAveragePool || (node.op() == Op::ReduceMean && node.input(0)->type.rank() == 4))
    return 1 / count(node.input(0)->type);
  if (node.op() != Op::AveragePool) return 1;
  double n = 1;
  for (const int64_t k : node.ints_attr("kernel_shape")) n *= static_cast<double>(k);
  return 1 / n;
}

bool keeps_scale(const Node& node) {
  return is_movement(node) || node.op() == Op::MaxPool || node.op() == Op::GlobalMaxPool;
}

double squared(double x) { return x * x; }

/// Maxima become norms of this order where a slope is asked for.
constexpr double kOrder = 16;
double power16(double x) { return squared(squared(squared(squared(x)))); }

/// A sum of independent numbers reaches so many deviations.
constexpr double kReach = 3;

/// What the weights of a producer say of the extent of each channel it makes:  |bias| + kReach sqrt(sum W^2
/// E[x^2]), with E[x^2] = 1 where calibration does not tell.
std::vector<double> reach_of(const Node& node, size_t channels, const calib::Profile* profile) {
  std::vector<double> reach(channels, 0);
  if (has_weight_view(node)) {
    const WeightView w = weight_view(node);
    const int64_t axis = node.op() == Op::Conv ? 1 : node.input(0)->type.rank() - 1;
    const calib::ValueProfile* seen =
        profile == nullptr ? nullptr : channel_profile(*profile, node.input(0), axis, w.input_channels());
    const bool known = seen != nullptr && !seen->channel_square.empty();
    for (int64_t o = 0; o < w.outputs; ++o)
      for (int64_t i = 0; i < w.inputs; ++i) {
        const auto c = static_cast<size_t>(w.group_of(o) * w.inputs + i);
        const double power = known ? static_cast<double>(seen->channel_square[c]) : 1;
        for (int64_t p = 0; p < w.positions; ++p)
          reach[static_cast<size_t>(o)] += power * squared(static_cast<double>(w.at(o, i, p)));
      }
    for (double& x : reach) x = kReach * std::sqrt(x);
  } else {
    const Value* numbers = node.input(1)->is_constant() ? node.input(1) : node.input(0);
    const std::vector<float> scale = to_floats(numbers->constant());
    for (size_t c = 0; c < channels; ++c) reach[c] = kReach * std::fabs(static_cast<double>(scale.at(c)));
  }
  if (node.op() == Op::MatMul || node.input(2) == nullptr) return reach;
  if (const auto bias = passes::per_channel(node.input(2), 2, 1, std::ssize(reach)))
    for (size_t c = 0; c < channels; ++c) reach[c] += std::fabs(static_cast<double>((*bias)[c]));
  return reach;
}

/// Per factor, the largest reach of the channels that carry it; 1 for the one that stays.
std::vector<double> reaches_of(const ScaleGroup& group, const calib::Profile* profile) {
  std::vector<double> reaches(static_cast<size_t>(group.factors) + 1, 0);
  reaches.back() = 1;
  for (const ScaledLayer& layer : group.producers) {
    const std::vector<double> reach = reach_of(*layer.node, layer.factors.size(), profile);
    for (size_t c = 0; c < reach.size(); ++c)
      if (layer.factors[c] != kFixed) {
        double& largest = reaches[static_cast<size_t>(layer.factors[c])];
        largest = std::max(largest, reach[c]);
      }
  }
  return reaches;
}

double magnitude(const calib::ValueProfile& seen, size_t c) {
  return static_cast<double>(std::max(-seen.channel_min[c], seen.channel_max[c]));
}

/// The median of reach / magnitude over channels that do something: what turns a reach into a magnitude.
double typical_ratio(const calib::ValueProfile& seen, const std::vector<double>& reach, double largest) {
  std::vector<double> ratios;
  for (size_t c = 0; c < reach.size(); ++c)
    if (magnitude(seen, c) > largest / kMostGrowth && reach[c] > 0)
      ratios.push_back(reach[c] / magnitude(seen, c));
  if (ratios.empty()) return HUGE_VAL;
  const auto middle = ratios.begin() + std::ssize(ratios) / 2;
  std::nth_element(ratios.begin(), middle, ratios.end());
  return *middle;
}

/// Independent results at once: additions wait for each other otherwise.
constexpr size_t kLanes = 4;

/// max_i a[i] b[i], at least 0.
double largest_product(const std::vector<double>& a, const double* b) {
  double lanes[kLanes] = {};
  const size_t whole = a.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t l = 0; l < kLanes; ++l) lanes[l] = std::max(lanes[l], a[i + l] * b[i + l]);
  for (size_t i = whole; i < a.size(); ++i) lanes[0] = std::max(lanes[0], a[i] * b[i]);
  return std::max(std::max(lanes[0], lanes[1]), std::max(lanes[2], lanes[3]));
}

/// out[i] = (a[i] b[i] / unit)^kOrder; returns their sum.
double raised_products(const std::vector<double>& a, const double* b, double unit, std::vector<double>& out) {
  double lanes[kLanes] = {};
  const double inverse = 1 / unit;
  const size_t whole = a.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t l = 0; l < kLanes; ++l) lanes[l] += out[i + l] = power16(a[i + l] * b[i + l] * inverse);
  for (size_t i = whole; i < a.size(); ++i) lanes[0] += out[i] = power16(a[i] * b[i] * inverse);
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

}  // namespace

ScaleCost::ScaleCost(const ScaleGroup& group, const calib::Profile* profile, const IntegerRegions& regions,
                     double trust, int weight_bits)
    : trust_(trust),
      weight_bits_(weight_bits),
      count_(static_cast<size_t>(group.factors)),
      gain_(count_ + 1, 0),
      extent_(count_ + 1, 0),
      weight_(count_ + 1, 0) {
  const std::vector<double> reach = reaches_of(group, profile);
  std::unordered_map<const Node*, const ScaledLayer*> readers;
  for (const ScaledLayer& layer : group.consumers) {
    readers[layer.node] = &layer;
    add_reader(layer, profile, reach);
  }
  std::unordered_map<const Value*, double> left;  // what is left of an error at the layers
  for (auto it = group.values.rbegin(); it != group.values.rend(); ++it) {
    double& gain = left[it->value];
    for (const ir::Use& use : it->value->uses())
      for (const Value* output : use.node->outputs())
        gain = std::max(gain, readers.contains(use.node) ? 1.0
                              : left.contains(output)    ? left[output] * passed(*use.node)
                                                         : 0.0);
    const Node* producer = it->value->producer();
    const bool moved = producer != nullptr && regions.nodes.contains(producer) && keeps_scale(*producer);
    if (regions.stored.contains(it->value) && !moved) add_stored(*it, profile, reach, gain);
  }
}

void ScaleCost::add_stored(const ScaledValue& value, const calib::Profile* profile,
                           const std::vector<double>& reach, double gain) {
  const int64_t axis = varying_axis(value.factors);
  if (axis < 0) return;
  Stored stored{{}, {}, {}, {}, gain};
  std::vector<double> reaches;
  for (const int id : value.factors.ids) {
    stored.factor.push_back(id == kFixed ? count_ : static_cast<size_t>(id));
    reaches.push_back(id == kFixed ? 0 : reach[stored.factor.back()]);
  }
  if (profile == nullptr) {
    for (const double r : reaches) stored.low.push_back(-r), stored.high.push_back(r);
    stored.most.assign(reaches.size(), HUGE_VAL);
  } else {
    const calib::ValueProfile* seen = channel_profile(*profile, value.value, axis, std::ssize(reaches));
    if (seen == nullptr) return;
    expect(*seen, reaches, stored);
  }
  for (size_t c = 0; c < reaches.size(); ++c)
    extent_[stored.factor[c]] = std::max({extent_[stored.factor[c]], -stored.low[c], stored.high[c]});
  stored_.push_back(std::move(stored));
}

void ScaleCost::expect(const calib::ValueProfile& seen, const std::vector<double>& reach,
                       Stored& stored) const {
  double largest = 0;
  for (size_t c = 0; c < reach.size(); ++c) largest = std::max(largest, magnitude(seen, c));
  const double ratio = typical_ratio(seen, reach, largest), share = std::min(1.0, 2 * (1 - trust_));
  for (size_t c = 0; c < reach.size(); ++c) {
    const double least = largest / kMostGrowth, was = std::max(magnitude(seen, c), least),
                 may = was * std::pow(std::max(1.0, std::min(largest, reach[c] / ratio) / was), share),
                 grown = largest > 0 ? std::pow(may / largest, trust_) * largest / was : 1;
    const bool silent = magnitude(seen, c) == 0;
    stored.low.push_back(static_cast<double>(seen.channel_min[c]) * grown);
    stored.high.push_back((silent ? least : static_cast<double>(seen.channel_max[c])) * grown);
    stored.most.push_back(seen.channel_square.empty() ? HUGE_VAL
                                                      : 12 * static_cast<double>(seen.channel_square[c]));
  }
}

void ScaleCost::add_reader(const ScaledLayer& layer, const calib::Profile* profile,
                           const std::vector<double>& reach) {
  if (!has_weight_view(*layer.node)) return;  // numbers that stay FP32
  const WeightView w = weight_view(*layer.node);
  const bool few_bits = weight_bits_ == 4 && w.inputs * w.positions >= kFewestInFourBits;
  Reader reader{.factor = {},
                .outputs = w.outputs,
                .inputs = w.inputs,
                .groups = w.groups,
                .steps = few_bits ? 7.0 : 127.0,
                .largest = {},
                .power = {},
                .importance = std::vector<double>(static_cast<size_t>(w.outputs), 1.0)};
  for (const int id : layer.factors) reader.factor.push_back(id == kFixed ? count_ : static_cast<size_t>(id));
  std::vector<double> gain(layer.factors.size(), 0);
  for (int64_t o = 0; o < w.outputs; ++o)
    for (int64_t i = 0; i < w.inputs; ++i) {
      double largest = 0, sum = 0;
      for (int64_t p = 0; p < w.positions; ++p) {
        const auto x = static_cast<double>(w.at(o, i, p));
        largest = std::max(largest, std::fabs(x));
        sum += x * x;
      }
      reader.largest.push_back(largest);
      const auto c = static_cast<size_t>(w.group_of(o) * w.inputs + i);
      gain[c] += reader.importance[static_cast<size_t>(o)] * sum;
      weight_[reader.factor[c]] = std::max(weight_[reader.factor[c]], largest);
    }
  const Value* x = layer.node->input(0);
  const int64_t axis = layer.node->op() == Op::Conv ? 1 : x->type.rank() - 1;
  const calib::ValueProfile* seen =
      profile == nullptr ? nullptr : channel_profile(*profile, x, axis, w.input_channels());
  const bool known = seen != nullptr && !seen->channel_square.empty();
  const bool corrected = layer.node->op() != Op::MatMul;  // the mean of weights' errors goes into the bias
  std::vector<double> shares(count_ + 1, 0);
  for (const size_t factor : reader.factor) ++shares[factor];
  for (size_t c = 0; c < reader.factor.size(); ++c) {
    const double mean = known && corrected ? static_cast<double>(seen->channel_mean[c]) : 0,
                 square = known ? static_cast<double>(seen->channel_square[c])
                                : squared(reach[reader.factor[c]] / kReach);
    reader.power.push_back(static_cast<double>(w.positions) * std::max(square - mean * mean, 0.0));
    gain_[reader.factor[c]] += gain[c] / shares[reader.factor[c]];
  }
  readers_.push_back(std::move(reader));
}

double ScaleCost::step_of(const Stored& stored, const std::vector<double>& s) const {
  double low = 0, high = 0;
  for (size_t c = 0; c < stored.factor.size(); ++c) {
    low = std::min(low, stored.low[c] / s[stored.factor[c]]);
    high = std::max(high, stored.high[c] / s[stored.factor[c]]);
  }
  return (high - low) / kValueSteps;
}

/// What all results of a group read, for one choice of factors: weights are a hundred million where a
/// classifier reads a whole image, so what does not depend on the result is computed once.
struct ScaleCost::GroupInputs {
  int64_t first_output, end_output;
  std::vector<double> factor, power;  // s_c and p_c / s_c^2 of each input channel
  double carried = 0;                 // the sum of the latter

  GroupInputs(const Reader& reader, int64_t group, const std::vector<double>& s)
      : first_output(group * (reader.outputs / reader.groups)),
        end_output(first_output + reader.outputs / reader.groups) {
    for (int64_t i = 0; i < reader.inputs; ++i) {
      const auto c = static_cast<size_t>(group * reader.inputs + i);
      factor.push_back(s[reader.factor[c]]);
      power.push_back(reader.power[c] / squared(factor.back()));
      carried += power.back();
    }
  }
};

ScaleCost::Parts ScaleCost::parts_at(const std::vector<double>& factors) const {
  std::vector<double> s = factors;
  s.resize(count_ + 1, 1.0);
  Parts parts;
  for (const Stored& stored : stored_) {
    const double step = step_of(stored, s);
    for (size_t c = 0; c < stored.factor.size(); ++c)
      parts.values += stored.gain * std::min(squared(step * s[stored.factor[c]]), stored.most[c]) *
                      gain_[stored.factor[c]];
  }
  for (const Reader& reader : readers_)
    for (int64_t g = 0; g < reader.groups; ++g) {
      const GroupInputs in(reader, g, s);
      for (int64_t o = in.first_output; o < in.end_output; ++o) {
        const double largest = largest_product(in.factor, reader.largest.data() + o * reader.inputs);
        parts.weights +=
            reader.importance[static_cast<size_t>(o)] * squared(largest / reader.steps) * in.carried;
      }
    }
  return parts;
}

double ScaleCost::at(const std::vector<double>& factors) const {
  const Parts parts = parts_at(factors);
  return parts.values + parts.weights;
}

void ScaleCost::pulls(const std::vector<double>& s, std::vector<double>& up,
                      std::vector<double>& down) const {
  up.assign(count_ + 1, 0), down.assign(count_ + 1, 0);
  for (const Stored& stored : stored_) {
    const double step = step_of(stored, s), range = std::max(step * kValueSteps, 1e-300);
    double carried = 0, low = 0, high = 0;
    for (size_t c = 0; c < stored.factor.size(); ++c) {
      if (squared(step * s[stored.factor[c]]) < stored.most[c])
        carried += squared(s[stored.factor[c]]) * gain_[stored.factor[c]];
      low += power16(std::max(-stored.low[c] / s[stored.factor[c]], 0.0) / range);
      high += power16(std::max(stored.high[c] / s[stored.factor[c]], 0.0) / range);
    }
    const double low_end = std::pow(low, 1 / kOrder), high_end = std::pow(high, 1 / kOrder),
                 width = low_end + high_end;
    for (size_t c = 0; c < stored.factor.size(); ++c) {
      const size_t f = stored.factor[c];
      if (squared(step * s[f]) < stored.most[c])
        up[f] += stored.gain * squared(step) * squared(s[f]) * gain_[f];
      double share = 0;
      if (low > 0) share += low_end / width * power16(std::max(-stored.low[c] / s[f], 0.0) / range) / low;
      if (high > 0) share += high_end / width * power16(std::max(stored.high[c] / s[f], 0.0) / range) / high;
      down[f] += stored.gain * squared(step) * carried * share;
    }
  }
  for (const Reader& reader : readers_)
    for (int64_t g = 0; g < reader.groups; ++g) {
      const GroupInputs in(reader, g, s);
      std::vector<double> raised(in.factor.size()), share(in.factor.size(), 0.0);
      double steps = 0;
      for (int64_t o = in.first_output; o < in.end_output; ++o) {
        const double* m = reader.largest.data() + o * reader.inputs;
        const double largest = largest_product(in.factor, m);
        if (largest == 0) continue;
        const double step = reader.importance[static_cast<size_t>(o)] * squared(largest / reader.steps);
        const double part = step * in.carried / raised_products(in.factor, m, largest, raised);
        for (size_t i = 0; i < raised.size(); ++i) share[i] += part * raised[i];
        steps += step;
      }
      for (size_t i = 0; i < share.size(); ++i) {
        const size_t f = reader.factor[static_cast<size_t>(g * reader.inputs) + i];
        up[f] += share[i];
        down[f] += steps * in.power[i];
      }
    }
}

/// F does not change when all factors do by one number: taken such that the largest stored magnitude stays.
/// Then the bounds.
void ScaleCost::normalise(std::vector<double>& s, const std::vector<FactorBounds>& bounds) const {
  double before = 0, after = 0;
  for (size_t f = 0; f < count_; ++f)
    before = std::max(before, extent_[f]), after = std::max(after, extent_[f] / s[f]);
  before = std::max(before, extent_[count_]);
  for (size_t f = 0; f < count_; ++f) {
    if (after > 0 && before > 0) s[f] *= after / before;
    s[f] = bounds[f].fixed ? 1.0 : std::max({s[f], bounds[f].low, 1 / kMostGrowth});
  }
  s[count_] = 1;
}

std::vector<double> ScaleCost::best(const std::vector<FactorBounds>& bounds) const {
  const double most = *std::max_element(extent_.begin(), extent_.end());
  std::vector<double> best(count_ + 1, 1.0);
  double least = at(best);
  const auto consider = [&](const std::vector<double>& s) {
    const double cost = at(s);
    if (!(cost < least)) return;
    least = cost;
    best = s;
  };
  for (int step = 0; step <= 10; ++step) {
    const double alpha = 0.1 * step;
    std::vector<double> s(count_ + 1, 1.0);
    for (size_t f = 0; f < count_; ++f)
      s[f] = std::pow(std::max(extent_[f], most / kMostGrowth), alpha) /
             std::pow(std::max(weight_[f], 1e-12), 1 - alpha);
    normalise(s, bounds);
    consider(s);
  }
  std::vector<double> s = best, up, down;
  constexpr int kRounds = 150;
  for (int round = 0; round < kRounds; ++round) {
    const double rate =
        0.1 - 0.08 * round / kRounds;  // below 2 / kOrder, where the steepest part still converges
    pulls(s, up, down);
    for (size_t f = 0; f < count_; ++f)
      if (up[f] > 0 && down[f] > 0) s[f] *= std::pow(down[f] / up[f], rate);
    normalise(s, bounds);
    consider(s);
  }
  best.resize(count_);
  return best;
}

}  // namespace narrow::quant
