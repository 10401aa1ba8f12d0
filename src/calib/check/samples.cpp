#include "calib/check/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "calib/check/inputs.h"
#include "kernels/statistics/statistics.h"
#include "runtime/session.h"
#include "runtime/states.h"

namespace narrow::calib {
namespace {

constexpr int64_t kPiece = 1 << 15;

struct PieceSums {
  double total = 0, squares = 0;
  int64_t finite = 0;
  float low = 0, high = 0;
};

PieceSums sums_of(std::span<const float> x) {
  const kernels::Extent extent = kernels::extent_of(x.data(), static_cast<int64_t>(x.size()), usable_isa());
  constexpr size_t kLanes = 8;
  double total[kLanes] = {}, squares[kLanes] = {};
  const auto add = [&](size_t lane, float v) {
    const double finite = std::isfinite(v) ? static_cast<double>(v) : 0.0;
    total[lane] += finite;
    squares[lane] += finite * finite;
  };
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(lane, x[i + lane]);
  for (; i < x.size(); ++i) add(0, x[i]);
  return {std::accumulate(std::begin(total), std::end(total), 0.0),
          std::accumulate(std::begin(squares), std::end(squares), 0.0), extent.finite, extent.min,
          extent.max};
}

/// The histogram of one sample: integer counts, whatever the split between threads.
Histogram histogram_of(std::span<const float> values, ThreadPool& pool) {
  const auto workers = static_cast<size_t>(
      std::clamp<int64_t>(static_cast<int64_t>(values.size()) / kPiece, 1, pool.threads()));
  std::vector<Histogram> partial(workers);
  pool.run(static_cast<int64_t>(workers), [&](int64_t w) {
    const auto at = static_cast<size_t>(w);
    const size_t first = values.size() * at / workers, last = values.size() * (at + 1) / workers;
    partial[at].add(values.subspan(first, last - first));
  });
  for (size_t w = 1; w < workers; ++w) partial[0].merge(partial[w]);
  return std::move(partial[0]);
}

/// Signs of element i in the kSketch projections (splitmix64, the same on every machine).
uint64_t signs_of(uint64_t i) {
  uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void add_to_sketch(std::vector<double>& sketch, const Tensor& output) {
  const std::vector<float> values = to_floats(output);
  if (values.empty()) return;
  const double weight = 1 / std::sqrt(static_cast<double>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) continue;
    const uint64_t signs = signs_of(i);
    const double x = weight * static_cast<double>(values[i]);
    for (size_t k = 0; k < static_cast<size_t>(kSketch); ++k) sketch[k] += ((signs >> k) & 1U) != 0 ? x : -x;
  }
}

/// Per row the index of the largest; ties go to the lowest.
void add_answers(std::vector<int64_t>& answers, const Tensor& output) {
  if (!is_float(output.dtype()) || output.rank() != 2 || output.dim(1) < 2) return;
  const std::vector<float> values = to_floats(output);
  const int64_t classes = output.dim(1);
  for (int64_t row = 0; row < output.dim(0); ++row) {
    const auto first = values.begin() + row * classes;
    answers.push_back(std::max_element(first, first + classes) - first);
  }
}

class Recorder final : public runtime::Observer {
 public:
  Recorder(SetSamples& set, const std::map<std::string, Counting>& counting, const RunOptions& options,
           ThreadPool& pool)
      : set_(set), counting_(counting), options_(options), pool_(pool) {}

  void begin(int64_t position) { position_ = position; }

  void after(const ir::Node& node, std::span<const runtime::ValueView> outputs) override {
    for (const runtime::ValueView& view : outputs) {
      if (view.value->type.dtype != DType::f32 || view.value->origin.empty()) continue;
      record(view.value->origin, node.location(), view.floats(room_));
    }
  }

  void record(const std::string& name, const std::string& node, std::span<const float> values) {
    ValueSamples& value = value_of(name, node);
    if (static_cast<int64_t>(value.moments.size()) > position_) return;  // another step that makes it
    value.moments.resize(static_cast<size_t>(position_));                // a branch not taken before
    value.moments.push_back(moments_of(values, pool_));
    if (options_.moments_only) return;
    const Histogram histogram = histogram_of(values, pool_);
    if (histogram.has_nan() && !bad_) bad_ = node;
    value.halves[half()].merge(histogram);
    const auto how = counting_.find(name);
    if (how == counting_.end() || !how->second.parts) return;
    Counts mine(static_cast<size_t>(how->second.parts->count()), 0);
    how->second.parts->count(histogram, mine);
    add_counts(value, mine);
  }

  void record_ids(const std::string& name, const Tensor& input) {
    ValueSamples& value = value_of(name, "input");
    const auto how = counting_.find(name);
    if (options_.moments_only || how == counting_.end()) return;
    const Counting& counting = how->second;
    Counts mine(static_cast<size_t>(counting.count), 0);
    for (const int64_t id : to_ints(input)) {
      const auto part = counting.part_of_category.find(category_of(id));
      ++mine[part == counting.part_of_category.end() ? mine.size() - 1 : part->second];
    }
    add_counts(value, mine);
  }

  const std::optional<std::string>& bad_node() const { return bad_; }

 private:
  ValueSamples& value_of(const std::string& name, const std::string& node) {
    const auto [found, is_new] = set_.values.try_emplace(name);
    if (is_new) {
      found->second.node = node;
      found->second.groups.resize(static_cast<size_t>(options_.grouping.groups));
      set_.order.push_back(name);
    }
    return found->second;
  }

  void add_counts(ValueSamples& value, const Counts& mine) const {
    const auto add = [&mine](Counts& counts) {
      counts.resize(mine.size(), 0);
      for (size_t k = 0; k < mine.size(); ++k) counts[k] += mine[k];
    };
    add(value.parts);
    if (Counts* counts = group(value)) add(*counts);
  }

  /// Independent samples take turns; neighbours in a sequence are alike and stay together.
  Counts* group(ValueSamples& value) const {
    const Grouping& grouping = options_.grouping;
    if (position_ >= grouping.groups * grouping.size) return nullptr;
    const int64_t at = set_.selection.sequence ? position_ / grouping.size : position_ % grouping.groups;
    return &value.groups[static_cast<size_t>(at)];
  }
  size_t half() const {
    return static_cast<size_t>(set_.selection.sequence ? position_ * 2 / set_.selection.size()
                                                       : position_ % 2);
  }

  SetSamples& set_;
  const std::map<std::string, Counting>& counting_;
  const RunOptions& options_;
  ThreadPool& pool_;
  std::vector<float> room_;
  int64_t position_ = 0;
  std::optional<std::string> bad_;
};

/// The ranges as they stand.
Snapshot snapshot_of(const SetSamples& set, int64_t samples, const RangeOptions& ranges, ThreadPool& pool) {
  std::vector<std::string> names;
  for (const auto& [name, value] : set.values)
    if (!value.moments.empty()) names.push_back(name);
  std::vector<Range> found(names.size());
  pool.run(static_cast<int64_t>(names.size()), [&](int64_t i) {
    found[static_cast<size_t>(i)] = choose_range(set.values.at(names[static_cast<size_t>(i)]).all(), ranges);
  });
  Snapshot snapshot{.samples = samples, .ranges = {}};
  for (size_t i = 0; i < names.size(); ++i) snapshot.ranges[names[i]] = found[i];
  return snapshot;
}

}  // namespace

Counting count_categories(const std::map<int64_t, int64_t>& categories) {
  std::vector<std::pair<int64_t, int64_t>> by_count(categories.begin(), categories.end());
  std::stable_sort(by_count.begin(), by_count.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  int64_t all = 0, seen = 0, part = -1, tenth = -1;
  for (const auto& [id, n] : by_count) all += n;
  Counting counting;
  for (const auto& [id, n] : by_count) {
    const int64_t mine = std::min<int64_t>(Parts::kTenths - 1, (2 * seen + n) * Parts::kTenths / (2 * all));
    if (mine != tenth) ++part, tenth = mine;
    counting.part_of_category[id] = static_cast<uint8_t>(part);
    seen += n;
  }
  counting.count = part + 2;
  return counting;
}

Histogram ValueSamples::all() const {
  Histogram both = halves[0];
  both.merge(halves[1]);
  return both;
}

Moments moments_of(std::span<const float> values, ThreadPool& pool) {
  const int64_t pieces = (static_cast<int64_t>(values.size()) + kPiece - 1) / kPiece;
  std::vector<PieceSums> sums(static_cast<size_t>(pieces));
  pool.run(pieces, [&](int64_t p) {
    const auto first = static_cast<size_t>(p * kPiece);
    sums[static_cast<size_t>(p)] =
        sums_of(values.subspan(first, std::min<size_t>(kPiece, values.size() - first)));
  });
  PieceSums all;
  for (const PieceSums& piece : sums) {
    if (piece.finite == 0) continue;
    all.low = all.finite == 0 ? piece.low : std::min(all.low, piece.low);
    all.high = all.finite == 0 ? piece.high : std::max(all.high, piece.high);
    all.total += piece.total, all.squares += piece.squares, all.finite += piece.finite;
  }
  if (all.finite == 0) return {};
  const double count = static_cast<double>(all.finite), mean = all.total / count,
               variance = all.low == all.high ? 0 : std::max(0.0, all.squares / count - mean * mean);
  return {static_cast<float>(mean), static_cast<float>(std::sqrt(variance)), all.low, all.high};
}

Result<SetSamples> run_samples(const ir::Graph& graph, const data::Dataset& dataset,
                               const Selection& selection, const std::map<std::string, Counting>& counting,
                               std::shared_ptr<ThreadPool> pool, const RunOptions& options,
                               const Progress& progress) {
  runtime::SessionOptions session_options;
  session_options.observe_all = true;
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool, session_options));
  NARROW_TRY(runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset.info().states, session.interface()));
  SetSamples set{
      .selection = selection, .values = {}, .order = {}, .answers = {}, .sketches = {}, .snapshots = {}};
  Recorder recorder(set, counting, options, *pool);
  const SelectedSamples samples(dataset, selection);
  const std::string step = options.moments_only ? "swap channels" : "run samples";
  for (int64_t at = 0; at < selection.size(); ++at) {
    report(progress, step, at, selection.size());
    NARROW_TRY(data::Batch batch, samples.read(at * selection.unit, selection.unit, *pool));
    for (const auto& [name, swap] : options.swapped_channels)
      batch.inputs[name] = swap_channels(batch.inputs.at(name), swap);
    const TensorMap inputs = states.with(batch.inputs);
    recorder.begin(at);
    for (const auto& [name, tensor] : inputs) {
      if (tensor.dtype() == DType::f32)
        recorder.record(name, "input", tensor.data<float>());
      else if (!is_float(tensor.dtype()))
        recorder.record_ids(name, tensor);
    }
    NARROW_TRY(const TensorMap outputs, session.run(inputs, &recorder));
    states.take(outputs);
    if (recorder.bad_node())
      return Error{.code = Code::numerical,
                   .subject = *recorder.bad_node(),
                   .expected = "finite values",
                   .got = "NaN for " + unit_name(dataset, selection, at),
                   .hint = "check the data's scale, mean and std, and the model's weights"};
    if (std::find(options.snapshots.begin(), options.snapshots.end(), at + 1) != options.snapshots.end())
      set.snapshots.push_back(snapshot_of(set, at + 1, options.ranges, *pool));
    if (options.moments_only) continue;
    add_answers(set.answers, outputs.at(session.interface().outputs.front().name));
    set.sketches.emplace_back(kSketch, 0.0);
    for (const auto& [name, output] : outputs)
      if (is_float(output.dtype())) add_to_sketch(set.sketches.back(), output);
  }
  report(progress, step, selection.size(), selection.size());
  for (auto& [name, value] : set.values)
    if (!value.moments.empty()) value.moments.resize(static_cast<size_t>(selection.size()));
  return set;
}

}  // namespace narrow::calib
