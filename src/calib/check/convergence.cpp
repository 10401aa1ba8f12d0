#include "calib/check/convergence.h"

#include <algorithm>
#include <cmath>

namespace narrow::calib {
namespace {

/// How far `range` is from `final`, in widths of the latter.
double movement(Range range, Range final) {
  const double width = static_cast<double>(final.high) - static_cast<double>(final.low);
  const double ends = std::max(std::fabs(static_cast<double>(range.low) - static_cast<double>(final.low)),
                               std::fabs(static_cast<double>(range.high) - static_cast<double>(final.high)));
  return width > 0 ? ends / width : 0;
}

ConvergenceStep step_of(const Snapshot& snapshot, const Snapshot& final) {
  ConvergenceStep step;
  step.samples = snapshot.samples;
  std::vector<double> movements;
  for (const auto& [name, range] : final.ranges) {
    const auto then = snapshot.ranges.find(name);
    const double moved = movement(then == snapshot.ranges.end() ? Range{} : then->second, range);
    movements.push_back(moved);
    if (moved > step.widest) step.widest = moved, step.value = name;
  }
  if (movements.empty()) return step;
  const auto at = static_cast<int64_t>(std::ceil(0.95 * static_cast<double>(movements.size()))) - 1;
  std::nth_element(movements.begin(), movements.begin() + at, movements.end());
  step.most_values = movements[static_cast<size_t>(at)];
  return step;
}

}  // namespace

std::vector<int64_t> snapshot_counts(int64_t n) {
  std::vector<int64_t> counts = {n};
  if (n >= 4) counts.push_back(3 * n / 4);
  for (int64_t part = n / 2; part >= 1 && counts.size() < 8; part /= 2) counts.push_back(part);
  std::reverse(counts.begin(), counts.end());
  return counts;
}

Convergence converge(const std::vector<Snapshot>& snapshots) {
  Convergence c;
  if (snapshots.empty()) return c;
  const Snapshot& final = snapshots.back();
  for (const Snapshot& snapshot : snapshots) c.steps.push_back(step_of(snapshot, final));
  c.enough = final.samples;
  for (auto step = c.steps.rbegin(); step != c.steps.rend() && step->most_values <= kConverged; ++step)
    c.enough = step->samples;
  // The movement from half to all says what doubling does; with a single sample nothing is known.
  const auto half = std::find_if(c.steps.begin(), c.steps.end(), [&](const ConvergenceStep& s) {
    return 2 * s.samples >= final.samples - 1;
  });
  c.still_grows = final.samples < 2 || half->most_values > kConverged;
  return c;
}

Json to_json(const Convergence& c) {
  Json steps = Json::array();
  for (const ConvergenceStep& s : c.steps)
    steps.push_back(
        {{"samples", s.samples}, {"widest", s.widest}, {"most_values", s.most_values}, {"value", s.value}});
  return {{"enough", c.enough},
          {"still_grows", c.still_grows},
          {"tolerance", kConverged},
          {"steps", std::move(steps)}};
}

}  // namespace narrow::calib
