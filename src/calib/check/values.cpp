#include "calib/check/values.h"

#include <algorithm>
#include <array>

namespace narrow::calib {
namespace {

/// Positions whose moments leave [low, high] on one side.
int64_t count_beyond(const std::vector<Moments>& samples, float limit, bool above) {
  return std::count_if(samples.begin(), samples.end(),
                       [&](const Moments& m) { return above ? m.high > limit : m.low < limit; });
}

/// What the range of one half costs the other, the worse way round.
double loss_between_halves(const ValueSamples& value, const RangeOptions& ranges) {
  const auto& [a, b] = value.halves;
  if (a.count() == 0 || b.count() == 0) return 0;
  const Range of_a = choose_range(a, ranges), of_b = choose_range(b, ranges);
  return std::max(range_loss_db(a, of_b, of_a, ranges.levels), range_loss_db(b, of_a, of_b, ranges.levels));
}

void compare_ranges(ValueComparison& c, const ValueSamples& calibration, const ValueSamples& evaluation,
                    const RangeOptions& ranges) {
  const Histogram old = calibration.all(), fresh = evaluation.all();
  c.calibration_min = old.min(), c.calibration_max = old.max();
  c.evaluation_min = fresh.min(), c.evaluation_max = fresh.max();
  c.coverage = range_coverage(old, fresh);
  const auto n = static_cast<int64_t>(calibration.moments.size()),
             m = static_cast<int64_t>(evaluation.moments.size()),
             above = count_beyond(evaluation.moments, old.max(), true),
             below = count_beyond(evaluation.moments, old.min(), false);
  c.samples_beyond = std::count_if(evaluation.moments.begin(), evaluation.moments.end(),
                                   [&](const Moments& s) { return s.high > old.max() || s.low < old.min(); });
  c.beyond_chance =
      std::min(1.0, 2 * std::min(chance_of_exceeding(n, m, above), chance_of_exceeding(n, m, below)));
  c.range = choose_range(old, ranges);
  c.clipped = share_outside(fresh, c.range);
  c.clipped_calibration = share_outside(old, c.range);
  c.loss_db = range_loss_db(fresh, c.range, choose_range(fresh, ranges), ranges.levels);
  c.loss_noise_db =
      std::max(loss_between_halves(calibration, ranges), loss_between_halves(evaluation, ranges));
}

ValueComparison compare(const std::string& name, const ValueSamples& calibration,
                        const ValueSamples& evaluation, const RangeOptions& ranges, uint64_t seed) {
  ValueComparison c;
  c.name = name, c.node = calibration.node;
  c.is_input = calibration.node == "input";
  c.categorical = calibration.moments.empty();
  const std::vector<double> p = shares_of(calibration.parts), q = shares_of(evaluation.parts);
  if (p.size() == q.size()) c.psi = psi(p, q);
  const NoiseFloor floor = noise_floor(calibration.groups, evaluation.groups, seed);
  c.psi_noise = floor.psi, c.ks_noise = floor.ks;
  if (c.categorical)
    c.ks = p.size() == q.size() ? ks(p, q) : 0;
  else {
    c.ks = ks(calibration.all(), evaluation.all());
    compare_ranges(c, calibration, evaluation, ranges);
  }
  c.verdict = judge(c);
  return c;
}

}  // namespace

const char* to_string(ValueVerdict verdict) {
  constexpr std::array kNames = {"alike", "shifted", "differs", "range too narrow", "range too wide"};
  return kNames.at(static_cast<size_t>(verdict));
}

ValueVerdict judge(const ValueComparison& value) {
  if (value.psi > std::max(kPsiDiffers, value.psi_noise)) return ValueVerdict::differs;
  if (value.loss_db > kLossLimitDb + value.loss_noise_db)
    return value.clipped > value.clipped_calibration ? ValueVerdict::too_narrow : ValueVerdict::too_wide;
  return value.psi > std::max(kPsiShifted, value.psi_noise) ? ValueVerdict::shifted : ValueVerdict::alike;
}

std::vector<ValueComparison> compare_values(const SetSamples& calibration, const SetSamples& evaluation,
                                            const RangeOptions& ranges, ThreadPool& pool, uint64_t seed) {
  std::vector<std::string> names;
  for (const std::string& name : calibration.order)
    if (evaluation.values.contains(name)) names.push_back(name);
  std::vector<ValueComparison> comparisons(names.size());
  pool.run(static_cast<int64_t>(names.size()), [&](int64_t i) {
    const std::string& name = names[static_cast<size_t>(i)];
    comparisons[static_cast<size_t>(i)] =
        compare(name, calibration.values.at(name), evaluation.values.at(name), ranges, seed);
  });
  return comparisons;
}

}  // namespace narrow::calib
