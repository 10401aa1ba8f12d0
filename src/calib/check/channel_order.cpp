#include "calib/check/channel_order.h"

#include <algorithm>
#include <cmath>

namespace narrow::calib {
namespace {

/// Mean or log deviation of one value.
struct Feature {
  std::string value;
  bool by_spread = false;
  double deviation = 0;  // of its differences over evaluation
  double effect = 0;     // mean difference / deviation
};

/// As many as agree mostly; the mean of several varies less than one.
constexpr size_t kVoters = 8;

double figure(const Moments& m, bool by_spread) {
  return by_spread ? std::log(std::max(static_cast<double>(m.spread), 1e-12)) : static_cast<double>(m.mean);
}

/// Figure of the sample as it is less that of the sample exchanged.
double difference(const SetSamples& set, const SetSamples& swapped, const Feature& f, size_t at) {
  return figure(set.values.at(f.value).moments[at], f.by_spread) -
         figure(swapped.values.at(f.value).moments[at], f.by_spread);
}

/// The features that react most alike over these samples.
std::vector<Feature> strongest(const SetSamples& set, const SetSamples& swapped,
                               const std::vector<size_t>& samples) {
  std::vector<Feature> found;
  const auto n = static_cast<double>(samples.size());
  for (const std::string& name : set.order) {
    const auto other = swapped.values.find(name);
    const ValueSamples& value = set.values.at(name);
    if (other == swapped.values.end() || value.moments.empty() || value.node == "input") continue;
    for (const bool by_spread : {false, true}) {
      Feature f{.value = name, .by_spread = by_spread};
      double total = 0, squares = 0;
      for (const size_t at : samples) {
        const double d = difference(set, swapped, f, at);
        total += d, squares += d * d;
      }
      const double mean = total / n, variance = (squares - n * mean * mean) / std::max(1.0, n - 1);
      // Differences that are all rounding have no direction.
      if (!(variance > 1e-20 * squares / n) || !std::isfinite(variance)) continue;
      f.deviation = std::sqrt(variance), f.effect = mean / f.deviation;
      found.push_back(std::move(f));
    }
  }
  std::stable_sort(found.begin(), found.end(), [](const Feature& a, const Feature& b) {
    return std::fabs(a.effect) > std::fabs(b.effect);
  });
  if (found.size() > kVoters) found.resize(kVoters);
  return found;
}

/// > 0: reacts as the samples the features were chosen on; 0: does not react (a grey photo).
double vote(const SetSamples& set, const SetSamples& swapped, const std::vector<Feature>& features,
            size_t at) {
  double sum = 0;
  for (const Feature& f : features)
    sum += difference(set, swapped, f, at) / f.deviation * (f.effect > 0 ? 1 : -1);
  return sum;
}

/// The share of evaluation samples whose vote agrees, features chosen on the other half.
double agreement(const SetSamples& set, const SetSamples& swapped, size_t n) {
  int64_t agree = 0, all = 0;
  for (const size_t half : {size_t{0}, size_t{1}}) {
    std::vector<size_t> mine, others;
    for (size_t at = 0; at < n; ++at) (at % 2 == half ? mine : others).push_back(at);
    const std::vector<Feature> features = strongest(set, swapped, others);
    for (const size_t at : mine) {
      const double v = vote(set, swapped, features, at);
      if (v == 0) continue;
      ++all, agree += v > 0 ? 1 : 0;
    }
  }
  return all > 0 ? static_cast<double>(agree) / static_cast<double>(all) : 0;
}

/// The least number of reversed votes among n that is rare enough; n + 1 when none is.
int64_t critical(int64_t n) {
  int64_t k = n + 1;
  while (k > 0 && binomial_tail(n, k - 1, 0.5) < kReversedChance) --k;
  return k;
}

}  // namespace

double binomial_tail(int64_t n, int64_t k, double p) {
  if (k <= 0) return 1;
  if (p <= 0 || k > n) return 0;
  if (p >= 1) return 1;
  double sum = 0;
  for (int64_t i = k; i <= n; ++i) {
    const auto dn = static_cast<double>(n), di = static_cast<double>(i);
    sum += std::exp(std::lgamma(dn + 1) - std::lgamma(di + 1) - std::lgamma(dn - di + 1) + di * std::log(p) +
                    (dn - di) * std::log1p(-p));
  }
  return std::min(1.0, sum);
}

ChannelOrder compare_channel_order(const SetSamples& calibration, const SetSamples& calibration_swapped,
                                   const SetSamples& evaluation, const SetSamples& evaluation_swapped) {
  ChannelOrder order;
  const auto n = static_cast<size_t>(calibration_swapped.selection.size()),
             m = static_cast<size_t>(evaluation_swapped.selection.size());
  if (n < 1 || m < 4) return order;
  std::vector<size_t> all;
  for (size_t at = 0; at < m; ++at) all.push_back(at);
  const std::vector<Feature> features = strongest(evaluation, evaluation_swapped, all);
  if (features.empty()) return order;
  order.value = features.front().value;
  for (size_t at = 0; at < n; ++at) {
    const double v = vote(calibration, calibration_swapped, features, at);
    if (v == 0) continue;
    ++order.samples, order.reversed += v < 0 ? 1 : 0;
  }
  order.evaluation_agrees = agreement(evaluation, evaluation_swapped, m);
  order.chance = binomial_tail(order.samples, order.reversed, 0.5);
  order.power = binomial_tail(order.samples, critical(order.samples), order.evaluation_agrees);
  order.is_reversed = order.chance < kReversedChance;
  return order;
}

Json to_json(const ChannelOrder& o) {
  return {{"samples", o.samples}, {"reversed", o.reversed}, {"evaluation_agrees", o.evaluation_agrees},
          {"chance", o.chance},   {"power", o.power},       {"value", o.value}};
}

}  // namespace narrow::calib
