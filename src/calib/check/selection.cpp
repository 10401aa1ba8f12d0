#include "calib/check/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace narrow::calib {

Selection select(const data::Dataset& dataset, int64_t most, uint64_t seed) {
  Selection selection{.unit = dataset.batch_of(1), .units = {}, .sequence = !dataset.info().states.empty()};
  const int64_t all = std::max<int64_t>(1, dataset.size() / selection.unit), taken = std::min(most, all);
  for (int64_t i = 0; i < taken; ++i) selection.units.push_back(selection.sequence ? i : i * all / taken);
  if (selection.sequence) return selection;
  Random random(seed);
  for (int64_t i = taken - 1; i > 0; --i)
    std::swap(selection.units[static_cast<size_t>(i)],
              selection.units[static_cast<size_t>(random.integer(0, i))]);
  return selection;
}

Selection first_of(Selection selection, int64_t most) {
  selection.units.resize(static_cast<size_t>(std::min(most, selection.size())));
  return selection;
}

std::string unit_name(const data::Dataset& dataset, const Selection& selection, int64_t at) {
  const std::string name = dataset.sample_name(selection.first_sample(at));
  return selection.unit == 1 ? name : fmt::format("{} and {} more", name, selection.unit - 1);
}

SelectedSamples::SelectedSamples(const data::Dataset& dataset, Selection selection)
    : dataset_(dataset), selection_(std::move(selection)) {
  info_ = dataset.info();
  info_.largest_batch = selection_.unit;
}

Result<data::Batch> SelectedSamples::read(int64_t first, int64_t count, ThreadPool& pool) const {
  const int64_t from = selection_.first_sample(first / selection_.unit);
  return dataset_.read(from, std::min(count, dataset_.size() - from), pool);
}

std::string SelectedSamples::sample_name(int64_t sample) const {
  return dataset_.sample_name(selection_.first_sample(sample / selection_.unit) + sample % selection_.unit);
}

}  // namespace narrow::calib
