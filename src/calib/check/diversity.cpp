#include "calib/check/diversity.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/random.h"
#include "calib/check/noise.h"

namespace narrow::calib {
namespace {

/// Enough to see a chance below kRareChance.
constexpr int kDeals = 2000;

using Classes = std::vector<int64_t>;
using Sketches = std::vector<std::vector<double>>;

std::map<int64_t, int64_t> counted(std::span<const int64_t> classes) {
  std::map<int64_t, int64_t> counts;
  for (const int64_t c : classes) ++counts[c];
  return counts;
}

/// The median over subsets of this size.
double effective_at(std::span<const int64_t> classes, int64_t size, uint64_t seed) {
  if (size == static_cast<int64_t>(classes.size())) return effective_classes(classes);
  std::vector<double> found;
  for (const auto& order : shuffles(static_cast<int64_t>(classes.size()), kRounds, seed)) {
    Classes subset;
    for (int64_t i = 0; i < size; ++i)
      subset.push_back(classes[static_cast<size_t>(order[static_cast<size_t>(i)])]);
    found.push_back(effective_classes(subset));
  }
  std::nth_element(found.begin(), found.begin() + kRounds / 2, found.end());
  return found[kRounds / 2];
}

/// The share of dealings in which `statistic` of the first n of the shuffled is at most what was observed;
/// the observed one counts too.
template <class F>
double chance_of(int64_t n, int64_t m, uint64_t seed, double observed, F&& statistic) {
  int64_t as_small = 1;
  for (const auto& order : shuffles(n + m, kDeals, seed)) as_small += statistic(order) <= observed ? 1 : 0;
  return static_cast<double>(as_small) / (kDeals + 1);
}

std::vector<double> mean_of(const Sketches& sketches) {
  std::vector<double> mean(sketches.front().size(), 0);
  for (const auto& sketch : sketches)
    for (size_t k = 0; k < mean.size(); ++k) mean[k] += sketch[k] / static_cast<double>(sketches.size());
  return mean;
}

/// Squared distances from the mean of the own set.
std::vector<double> deviations(const Sketches& sketches) {
  const std::vector<double> mean = mean_of(sketches);
  std::vector<double> squares;
  for (const auto& sketch : sketches) {
    double square = 0;
    for (size_t k = 0; k < mean.size(); ++k) square += (sketch[k] - mean[k]) * (sketch[k] - mean[k]);
    squares.push_back(square);
  }
  return squares;
}

}  // namespace

double effective_classes(std::span<const int64_t> classes) {
  double entropy = 0;
  for (const auto& [label, n] : counted(classes)) {
    const double share = static_cast<double>(n) / static_cast<double>(classes.size());
    entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

ClassDiversity compare_classes(std::span<const int64_t> calibration, std::span<const int64_t> evaluation,
                               uint64_t seed) {
  ClassDiversity d;
  const auto n = static_cast<int64_t>(calibration.size()), m = static_cast<int64_t>(evaluation.size());
  d.samples = std::min(n, m);
  if (d.samples < 2) return d;
  d.calibration = effective_at(calibration, d.samples, seed);
  d.evaluation = effective_at(evaluation, d.samples, seed);
  const auto counts = counted(calibration), others = counted(evaluation);
  const auto top = std::max_element(counts.begin(), counts.end(),
                                    [](const auto& a, const auto& b) { return a.second < b.second; });
  d.top_class = top->first;
  d.top_share = static_cast<double>(top->second) / static_cast<double>(n);
  if (const auto same = others.find(top->first); same != others.end())
    d.top_share_evaluation = static_cast<double>(same->second) / static_cast<double>(m);
  Classes all(calibration.begin(), calibration.end());
  all.insert(all.end(), evaluation.begin(), evaluation.end());
  const auto ratio_of = [&](const std::vector<int32_t>& order) {
    Classes dealt;
    for (const int32_t i : order) dealt.push_back(all[static_cast<size_t>(i)]);
    const std::span<const int64_t> both = dealt;
    return effective_classes(both.first(static_cast<size_t>(n))) /
           effective_classes(both.subspan(static_cast<size_t>(n)));
  };
  d.chance = chance_of(n, m, seed, effective_classes(calibration) / effective_classes(evaluation), ratio_of);
  d.is_poor = d.calibration < kPoorDiversity * d.evaluation && d.chance < kRareChance;
  return d;
}

AnswerVariety compare_variety(const Sketches& calibration, const Sketches& evaluation, uint64_t seed) {
  AnswerVariety v;
  const auto n = static_cast<int64_t>(calibration.size()), m = static_cast<int64_t>(evaluation.size());
  if (n < 2 || m < 2) return v;
  std::vector<double> squares = deviations(calibration);
  const std::vector<double> others = deviations(evaluation);
  squares.insert(squares.end(), others.begin(), others.end());
  const auto ratio_of = [&](const std::vector<int32_t>& order) {
    double mine = 0, theirs = 0;
    for (int64_t i = 0; i < n + m; ++i)
      (i < n ? mine : theirs) += squares[static_cast<size_t>(order[static_cast<size_t>(i)])];
    mine /= static_cast<double>(n - 1), theirs /= static_cast<double>(m - 1);
    return theirs > 0 ? mine / theirs : mine > 0 ? INFINITY : 1.0;
  };
  std::vector<int32_t> as_given(static_cast<size_t>(n + m));
  for (size_t i = 0; i < as_given.size(); ++i) as_given[i] = static_cast<int32_t>(i);
  v.ratio = ratio_of(as_given);
  v.chance = chance_of(n, m, seed, v.ratio, ratio_of);
  v.is_poor = v.ratio < kPoorDiversity && v.chance < kRareChance;
  return v;
}

Json to_json(const ClassDiversity& d) {
  return {{"samples", d.samples},
          {"calibration", d.calibration},
          {"evaluation", d.evaluation},
          {"chance", d.chance},
          {"top_class", d.top_class},
          {"top_share", d.top_share},
          {"top_share_evaluation", d.top_share_evaluation}};
}

Json to_json(const AnswerVariety& v) { return {{"ratio", v.ratio}, {"chance", v.chance}}; }

}  // namespace narrow::calib
