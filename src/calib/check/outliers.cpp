#include "calib/check/outliers.h"

#include <algorithm>
#include <cmath>

namespace narrow::calib {
namespace {

double median_of(std::vector<double> list) {
  const auto middle = list.begin() + static_cast<int64_t>(list.size() / 2);
  std::nth_element(list.begin(), middle, list.end());
  if (list.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(list.begin(), middle)) / 2;
}

struct Robust {
  double median = 0, scale = 0;  // scale 0: most are equal, nothing can be said
};

Robust robust_of(const std::vector<double>& figures) {
  const double median = median_of(figures);
  std::vector<double> distances;
  for (const double x : figures) distances.push_back(std::fabs(x - median));
  return {median, 1.4826 * median_of(distances)};
}

/// Deviations span octaves, and equally far up and down is equally strange. A constant is as far as can be.
double log_spread(const Moments& m) { return std::log(std::max(static_cast<double>(m.spread), 1e-12)); }

std::vector<double> figures_of(const ValueSamples& value, bool by_spread) {
  std::vector<double> figures;
  for (const Moments& m : value.moments)
    figures.push_back(by_spread ? log_spread(m) : static_cast<double>(m.mean));
  return figures;
}

}  // namespace

std::vector<Outlier> find_outliers(const SetSamples& set) {
  const auto n = static_cast<size_t>(set.selection.size());
  if (set.selection.size() < kLeastForOutliers) return {};
  std::vector<Outlier> samples(n);
  std::vector<double> squares(n, 0);
  int64_t figures_seen = 0;
  for (const std::string& name : set.order) {
    const ValueSamples& value = set.values.at(name);
    if (value.moments.size() != n) continue;
    for (const bool by_spread : {false, true}) {
      const std::vector<double> figures = figures_of(value, by_spread);
      const Robust robust = robust_of(figures);
      if (!(robust.scale > 0)) continue;
      ++figures_seen;
      for (size_t i = 0; i < n; ++i) {
        const double z = std::min(kMostZ, std::fabs(figures[i] - robust.median) / robust.scale);
        squares[i] += z * z;
        if (z <= samples[i].z) continue;
        samples[i].z = z, samples[i].value = name, samples[i].by_spread = by_spread;
        const auto shown = [by_spread](double x) { return by_spread ? std::exp(x) : x; };
        samples[i].figure = shown(figures[i]), samples[i].median = shown(robust.median);
        samples[i].usual =
            by_spread ? shown(robust.median + robust.scale) - shown(robust.median) : robust.scale;
      }
    }
  }
  std::vector<Outlier> far;
  for (size_t i = 0; i < n; ++i) {
    samples[i].at = static_cast<int64_t>(i);
    samples[i].distance = std::sqrt(squares[i] / static_cast<double>(std::max<int64_t>(1, figures_seen)));
    if (samples[i].distance > kFar) far.push_back(samples[i]);
  }
  std::stable_sort(far.begin(), far.end(),
                   [](const Outlier& a, const Outlier& b) { return a.distance > b.distance; });
  return far;
}

namespace {

/// The two largest of a figure and whose the largest is.
struct Top {
  double first = 0, second = 0;
  int64_t owner = -1;
};

template <class F>
Top top_of(const std::vector<Moments>& samples, F&& figure) {
  Top top{.first = -INFINITY, .second = -INFINITY};
  for (size_t i = 0; i < samples.size(); ++i) {
    const double x = figure(samples[i]);
    if (x > top.first)
      top.second = top.first, top.first = x, top.owner = static_cast<int64_t>(i);
    else
      top.second = std::max(top.second, x);
  }
  return top;
}

}  // namespace

std::vector<Widener> find_wideners(const SetSamples& set) {
  std::vector<Widener> best(static_cast<size_t>(set.selection.size()));
  for (const std::string& name : set.order) {
    const ValueSamples& value = set.values.at(name);
    if (value.moments.size() < static_cast<size_t>(kLeastForOutliers)) continue;
    const Top high = top_of(value.moments, [](const Moments&m) { return static_cast<double>(m.high); }),
              low = top_of(value.moments, [](const Moments&m) { return -static_cast<double>(m.low); });
    const double rest = high.second + low.second;  // the range without either owner's end
    if (!(rest > 0)) continue;
    for (const Top& end : {high, low}) {
      Widener& mine = best[static_cast<size_t>(end.owner)];
      const double share = (end.first - end.second) / rest;
      if (share > mine.share) mine = {.at = end.owner, .value = name, .share = share};
    }
  }
  std::erase_if(best, [](const Widener& w) { return w.share <= kWidens; });
  std::stable_sort(best.begin(), best.end(),
                   [](const Widener& a, const Widener& b) { return a.share > b.share; });
  return best;
}

}  // namespace narrow::calib
