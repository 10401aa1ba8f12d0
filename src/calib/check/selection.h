// Which samples of a data set are looked at, and in what order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace narrow::calib {

/// Samples are looked at one at a time, so that every value belongs to one of them; a model whose batch is
/// fixed takes a batch at a time. Such a unit is "a sample" to everything here.
struct Selection {
  int64_t unit = 1;            // samples in one
  std::vector<int64_t> units;  // of the data set, in the order they are looked at
  bool sequence = false;       // each depends on the one before

  int64_t size() const { return static_cast<int64_t>(units.size()); }
  int64_t first_sample(int64_t at) const { return units[static_cast<size_t>(at)] * unit; }
};

/// At most `most` units, spread evenly over the data and shuffled: files that are sorted by class or time
/// would make every part of the data look unlike the rest. Of a sequence the first ones, in order.
Selection select(const data::Dataset& dataset, int64_t most, uint64_t seed);
/// The first `most` of a selection.
Selection first_of(Selection selection, int64_t most);

/// "cat.jpg"; of a unit of several samples "cat.jpg and 7 more".
std::string unit_name(const data::Dataset& dataset, const Selection& selection, int64_t at);

/// A data set of the selected units, one per read.
class SelectedSamples final : public data::Dataset {
 public:
  SelectedSamples(const data::Dataset& dataset, Selection selection);
  int64_t size() const override { return selection_.size() * selection_.unit; }
  Result<data::Batch> read(int64_t first, int64_t count, ThreadPool& pool) const override;
  std::string sample_name(int64_t sample) const override;

 private:
  const data::Dataset& dataset_;
  Selection selection_;
};

}  // namespace narrow::calib
