#include "calib/check/inputs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/hash.h"

namespace narrow::calib {
namespace {

constexpr int64_t kMostChannels = 4;

/// The axis of an image's channels: the second, or the last where only that one is short enough.
int64_t image_channels(const Shape& shape) {
  if (shape.size() != 4) return -1;
  if (shape[1] <= kMostChannels) return 1;
  return shape[3] <= kMostChannels ? 3 : -1;
}

void add_value(ChannelSums& sums, float x) {
  if (!std::isfinite(x)) return;
  sums.min = sums.count == 0 ? x : std::min(sums.min, x);
  sums.max = sums.count == 0 ? x : std::max(sums.max, x);
  ++sums.count;
  sums.total += static_cast<double>(x);
  sums.squares += static_cast<double>(x) * static_cast<double>(x);
}

void add_floats(InputFacts& facts, const Tensor& input) {
  const Shape& shape = input.shape();
  facts.channel_axis = image_channels(shape);
  const auto axis = static_cast<size_t>(std::max<int64_t>(facts.channel_axis, 0));
  const int64_t channels = facts.channel_axis < 0 ? 1 : shape[axis];
  int64_t inner = 1;
  for (size_t i = axis + 1; facts.channel_axis >= 0 && i < shape.size(); ++i) inner *= shape[i];
  std::vector<ChannelSums> mine(static_cast<size_t>(channels));
  const std::vector<float> values = to_floats(input);
  for (size_t i = 0; i < values.size(); ++i)
    add_value(mine[static_cast<size_t>(channels == 1 ? 0 : static_cast<int64_t>(i) / inner % channels)],
              values[i]);
  double contrast = 0;
  for (const ChannelSums& channel : mine) contrast = std::max(contrast, facts_of(channel).spread);
  facts.contrast.push_back(static_cast<float>(contrast));
  facts.samples.push_back(std::move(mine));
}

void add_ids(InputFacts& facts, const Tensor& input) {
  facts.categorical = true;
  const std::vector<int64_t> ids = to_ints(input);
  for (const int64_t id : ids) ++facts.categories[category_of(id)];
  const bool constant = std::all_of(ids.begin(), ids.end(), [&](int64_t id) { return id == ids.front(); });
  facts.contrast.push_back(constant ? 0 : 1);
}

float median_of(std::vector<float> list) {
  if (list.empty()) return 0;
  const auto middle = list.begin() + static_cast<int64_t>(list.size() / 2);
  std::nth_element(list.begin(), middle, list.end());
  return *middle;
}

}  // namespace

int64_t category_of(int64_t id) { return (id % kMostCategories + kMostCategories) % kMostCategories; }

void add_input(InputFacts& facts, const Tensor& input) {
  facts.elements = input.elements();
  if (is_float(input.dtype()))
    add_floats(facts, input);
  else
    add_ids(facts, input);
}

void add_sums(ChannelSums& all, const ChannelSums& part) {
  if (part.count == 0) return;
  all.min = all.count == 0 ? part.min : std::min(all.min, part.min);
  all.max = all.count == 0 ? part.max : std::max(all.max, part.max);
  all.count += part.count;
  all.total += part.total;
  all.squares += part.squares;
}

ChannelFacts facts_of(const ChannelSums& sums) {
  ChannelFacts facts{.count = sums.count, .mean = 0, .spread = 0, .min = sums.min, .max = sums.max};
  if (sums.count == 0) return facts;
  const auto count = static_cast<double>(sums.count);
  facts.mean = sums.total / count;
  // Sums of many equal values round: their variance need not come out as 0.
  if (sums.min < sums.max)
    facts.spread = std::sqrt(std::max(0.0, sums.squares / count - facts.mean * facts.mean));
  return facts;
}

void finish(InputFacts& facts) {
  std::vector<ChannelSums> all;
  for (const auto& sample : facts.samples) {
    all.resize(std::max(all.size(), sample.size()));
    for (size_t c = 0; c < sample.size(); ++c) add_sums(all[c], sample[c]);
  }
  facts.channels.clear();
  for (const ChannelSums& sums : all) facts.channels.push_back(facts_of(sums));
}

Result<SetFacts> read_inputs(const data::Dataset& dataset, const Selection& selection, ThreadPool& pool,
                             const Progress& progress) {
  SetFacts facts{.selection = selection, .inputs = {}, .hashes = {}, .labels = {}};
  const SelectedSamples samples(dataset, selection);
  for (int64_t at = 0; at < selection.size(); ++at) {
    report(progress, "read inputs", at, selection.size());
    NARROW_TRY(const data::Batch batch, samples.read(at * selection.unit, selection.unit, pool));
    uint64_t hash = 0;
    for (const auto& [name, input] : batch.inputs) {
      add_input(facts.inputs[name], input);
      const std::span<const std::byte> bytes(static_cast<const std::byte*>(input.raw()),
                                             static_cast<size_t>(input.bytes()));
      hash = hash * 0x9e3779b97f4a7c15ULL + xxh3_64(bytes);
    }
    facts.hashes.push_back(hash);
    facts.labels.insert(facts.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  report(progress, "read inputs", selection.size(), selection.size());
  for (auto& [name, input] : facts.inputs) finish(input);
  return facts;
}

std::vector<int64_t> blank_samples(const SetFacts& facts) {
  std::vector<const InputFacts*> telling;
  for (const auto& [name, input] : facts.inputs)
    if (input.elements >= kBlankElements) telling.push_back(&input);
  std::vector<int64_t> blank;
  if (telling.empty()) return blank;
  std::vector<float> least;
  for (const InputFacts* input : telling)
    least.push_back(input->categorical ? 0 : kBlankContrast * median_of(input->contrast));
  for (size_t at = 0; at < facts.hashes.size(); ++at) {
    bool is_blank = true;
    for (size_t i = 0; i < telling.size(); ++i) is_blank = is_blank && telling[i]->contrast[at] <= least[i];
    if (is_blank) blank.push_back(static_cast<int64_t>(at));
  }
  return blank;
}

std::vector<std::vector<int64_t>> duplicates(const SetFacts& facts) {
  const std::vector<int64_t> blank = blank_samples(facts);
  const std::set<int64_t> left_out(blank.begin(), blank.end());
  std::map<uint64_t, std::vector<int64_t>> by_hash;
  for (size_t at = 0; at < facts.hashes.size(); ++at)
    if (!left_out.contains(static_cast<int64_t>(at)))
      by_hash[facts.hashes[at]].push_back(static_cast<int64_t>(at));
  std::vector<std::vector<int64_t>> groups;
  for (auto& [hash, group] : by_hash)
    if (group.size() > 1) groups.push_back(std::move(group));
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() > b.size() : a.front() < b.front();
  });
  return groups;
}

}  // namespace narrow::calib
