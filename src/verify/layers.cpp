#include "verify/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "ir/merged.h"
#include "runtime/states.h"
#include "verify/capture.h"
#include "verify/channel_fit.h"

namespace narrow::verify {
namespace {

bool is_number(const ir::Value* value) {
  return is_float(value->type.dtype) || (is_int8(value->type.dtype) && value->type.quant);
}

/// Reference values farther than half a step outside the stored range.
int64_t count_saturated(const ir::TensorType& type, std::span<const float> reference) {
  if (!type.quant || !type.quant->per_tensor()) return 0;
  const IntegerRange range = type.dtype == DType::u8 ? kRangeU8 : kRangeS8;
  const float scale = type.quant->scale[0];
  const auto zero = type.quant->zero_point[0];
  const float low = (static_cast<float>(range.low - zero) - 0.5F) * scale,
              high = (static_cast<float>(range.high - zero) + 0.5F) * scale;
  return std::count_if(reference.begin(), reference.end(), [&](float x) { return x < low || x > high; });
}

/// Per channel (axis 1 of rank 3 and more in the ONNX layout): does FP32 vary where the build does not?
class DeadChannels {
 public:
  void add(const Tensor& reference, const Tensor& actual) {
    const int64_t axis = reference.rank() >= 3 ? 1 : reference.rank() - 1;
    if (axis < 1) return;
    const int64_t channels = reference.dim(axis);
    int64_t inner = 1;
    for (int64_t a = axis + 1; a < reference.rank(); ++a) inner *= reference.dim(a);
    if (channels == 0 || inner == 0) return;
    states_.resize(static_cast<size_t>(channels));
    const auto r = reference.data<float>(), x = actual.data<float>();
    for (size_t i = 0; i < r.size(); ++i) {
      State& s = states_[i / static_cast<size_t>(inner) % static_cast<size_t>(channels)];
      s.reference.add(r[i]);
      s.actual.add(x[i]);
    }
  }
  int64_t channels() const { return static_cast<int64_t>(states_.size()); }
  int64_t dead() const {
    return std::count_if(states_.begin(), states_.end(), [](const State& s) {
      return s.actual.low == s.actual.high &&
             s.reference.high - s.reference.low >
                 1e-3F * std::max(std::fabs(s.reference.high), std::fabs(s.reference.low));
    });
  }

 private:
  struct Extent {
    float low = INFINITY, high = -INFINITY;
    void add(float x) { low = std::min(low, x), high = std::max(high, x); }
  };
  struct State {
    Extent reference, actual;
  };
  std::vector<State> states_;
};

struct Entry {
  LayerReport report;
  DeadChannels isolated, accumulated;
};

/// Compares each step's results; with `force`, feeds it the FP32 values first.
class Compare final : public runtime::Observer {
 public:
  Compare(const Captured& reference, bool force, std::vector<Entry>& entries,
          std::unordered_map<const ir::Value*, size_t>& index)
      : reference_(reference), force_(force), entries_(entries), index_(index) {}

  void before(const ir::Node&, std::span<const runtime::ValueView> inputs) override {
    if (!force_) return;
    for (const runtime::ValueView& view : inputs)
      if (const Tensor* wanted = find(view)) view.set_from_reference(*wanted);
  }

  void after(const ir::Node& node, std::span<const runtime::ValueView> outputs) override {
    for (size_t i = 0; i < outputs.size(); ++i) {
      const runtime::ValueView& view = outputs[i];
      const Tensor* wanted = find(view);
      if (wanted == nullptr) continue;
      Entry& entry = entry_for(node, view, i);
      const Tensor actual = view.to_reference();
      LayerFigures& figures = force_ ? entry.report.isolated : entry.report.accumulated;
      figures.distortion.add(wanted->data<float>(), actual.data<float>());
      figures.saturated += count_saturated(view.value->type, wanted->data<float>());
      (force_ ? entry.isolated : entry.accumulated).add(*wanted, actual);
    }
  }

 private:
  const Tensor* find(const runtime::ValueView& view) const {
    if (view.value->origin.empty() || !is_number(view.value)) return nullptr;
    const auto it = reference_.find(view.value->origin);
    return it != reference_.end() && it->second.elements() == elements_of(view.shape) ? &it->second : nullptr;
  }

  Entry& entry_for(const ir::Node& node, const runtime::ValueView& view, size_t output) {
    const auto [it, fresh] = index_.try_emplace(view.value, entries_.size());
    if (fresh) {
      Entry entry;
      entry.report.node = node.name.empty() ? node.output()->name : node.name;
      entry.report.op = ir::to_string(node.op());
      entry.report.value = view.value->origin;
      entry.report.format = to_string(view.value->type.dtype);
      if (const auto layers = ir::merged_layers(node); !layers.empty()) {
        entry.report.node = layers[output];
        entry.report.op = ir::to_string(ir::Op::FusedConv);
      }
      switch (node.op()) {
        case ir::Op::Transpose:
        case ir::Op::Reshape:
        case ir::Op::Flatten:
        case ir::Op::QuantizeLinear:
        case ir::Op::QuantizeImage:
        case ir::Op::DequantizeLinear:
        case ir::Op::Cast:
        case ir::Op::Identity:
          break;
        default:
          entry.report.computes = true;
      }
      entries_.push_back(std::move(entry));
    }
    return entries_[it->second];
  }

  const Captured& reference_;
  bool force_;
  std::vector<Entry>& entries_;
  std::unordered_map<const ir::Value*, size_t>& index_;
};

/// How the build's values relate to the rescaled ones of the same name.
class Fit final : public runtime::Observer {
 public:
  Fit(const Captured& reference, const std::set<std::string>& rescaled,
      std::map<std::string, ChannelFit>& fits)
      : reference_(reference), rescaled_(rescaled), fits_(fits) {}

  void after(const ir::Node&, std::span<const runtime::ValueView> outputs) override {
    for (const runtime::ValueView& view : outputs) {
      const std::string& name = view.value->origin;
      const auto x = reference_.find(name);
      if (!rescaled_.contains(name) || x == reference_.end() || !is_number(view.value) ||
          x->second.elements() != elements_of(view.shape))
        continue;
      fits_[name].add(x->second, view.to_reference());
    }
  }

 private:
  const Captured& reference_;
  const std::set<std::string>& rescaled_;
  std::map<std::string, ChannelFit>& fits_;
};

/// Some samples through the reference, and what is done with each.
class Samples {
 public:
  Samples(runtime::Session& reference, const data::Dataset& dataset, int64_t samples, ThreadPool& pool,
          const Progress& progress)
      : reference_(reference),
        dataset_(dataset),
        total_(std::min(samples, dataset.size())),
        pool_(pool),
        progress_(progress) {}

  template <class F>
  Status for_each(const char* stage, F&& f) const {
    const int64_t step = dataset_.batch_of(1);
    const bool sequence = !dataset_.info().states.empty();
    NARROW_TRY(runtime::CarriedStates states,
               runtime::CarriedStates::create(dataset_.info().states, reference_.interface()));
    for (int64_t i = 0; i < total_; i += step) {
      report(progress_, stage, i, total_);
      // Spread over the data set: neighbours are often alike. A sequence is taken from its start.
      const int64_t first = sequence ? i : std::min(dataset_.size() - step, i * (dataset_.size() / total_));
      NARROW_TRY(const data::Batch batch, dataset_.read(std::max<int64_t>(0, first), step, pool_));
      Captured captured;
      const TensorMap inputs = states.with(batch.inputs);
      for (const auto& [name, tensor] : inputs)
        if (tensor.dtype() == DType::f32) captured[name] = tensor;
      Capture capture(captured);
      NARROW_TRY(const TensorMap outputs, reference_.run(inputs, &capture));
      states.take(outputs);
      NARROW_DO(f(inputs, captured));
    }
    report(progress_, stage, total_, total_);
    return {};
  }

 private:
  runtime::Session& reference_;
  const data::Dataset& dataset_;
  int64_t total_;
  ThreadPool& pool_;
  const Progress& progress_;
};

/// As the build scales them; what is no map of channels is not compared.
void rescale(const std::set<std::string>& names, const std::map<std::string, std::optional<ChannelMap>>& maps,
             Captured& values) {
  for (const std::string& name : names) {
    const auto value = values.find(name);
    if (value == values.end()) continue;
    const auto map = maps.find(name);
    if (map != maps.end() && map->second)
      value->second = map->second->apply(value->second);
    else
      values.erase(value);
  }
}

}  // namespace

Result<std::vector<LayerReport>> compare_layers(runtime::Session& reference, runtime::Session& build,
                                                const data::Dataset& dataset, int64_t samples,
                                                ThreadPool& pool, const Progress& progress,
                                                const std::set<std::string>& rescaled) {
  constexpr int64_t kFitSamples = 32;  // behind a global pooling a sample has one number for two unknowns
  const Samples walk(reference, dataset, samples, pool, progress),
      fit_walk(reference, dataset, std::max(samples, kFitSamples), pool, progress);
  std::map<std::string, ChannelFit> fits;
  if (!rescaled.empty())
    NARROW_DO(fit_walk.for_each("scales of channels",
                                [&](const TensorMap& inputs, const Captured& captured) -> Status {
                                  Fit fit(captured, rescaled, fits);
                                  NARROW_DO(build.run(inputs, &fit));
                                  return {};
                                }));
  std::map<std::string, std::optional<ChannelMap>> maps;
  for (const auto& [name, fit] : fits) maps[name] = fit.solve();
  std::vector<Entry> entries;
  std::unordered_map<const ir::Value*, size_t> index;
  NARROW_DO(walk.for_each("layers", [&](const TensorMap& inputs, Captured& captured) -> Status {
    rescale(rescaled, maps, captured);
    Compare accumulated(captured, false, entries, index), isolated(captured, true, entries, index);
    NARROW_DO(build.run(inputs, &accumulated));
    NARROW_DO(build.run(inputs, &isolated));
    return {};
  }));
  std::vector<LayerReport> reports;
  for (Entry& entry : entries) {
    entry.report.isolated.channels = entry.isolated.channels();
    entry.report.isolated.dead_channels = entry.isolated.dead();
    entry.report.accumulated.channels = entry.accumulated.channels();
    entry.report.accumulated.dead_channels = entry.accumulated.dead();
    reports.push_back(std::move(entry.report));
  }
  return reports;
}

namespace {

Json figures_json(const LayerFigures& f) {
  const Distortion& d = f.distortion;
  return {{"sqnr_db", d.sqnr_db()},
          {"cosine", d.cosine()},
          {"max_abs_error", d.max_abs_error()},
          {"mean_shift", d.mean_shift()},
          {"saturated_share", f.saturated_share()},
          {"zero_share", d.zero_share()},
          {"dead_channels", f.dead_channels},
          {"channels", f.channels},
          {"non_finite", d.has_non_finite()}};
}

}  // namespace

Json to_json(const std::vector<LayerReport>& layers) {
  Json list = Json::array();
  for (const LayerReport& l : layers)
    list.push_back({{"node", l.node},
                    {"op", l.op},
                    {"value", l.value},
                    {"format", l.format},
                    {"isolated", figures_json(l.isolated)},
                    {"accumulated", figures_json(l.accumulated)}});
  return list;
}

std::vector<std::string> findings(const std::vector<LayerReport>& layers) {
  std::vector<std::string> list;
  for (const LayerReport& l : layers) {
    const LayerFigures& f = l.accumulated;
    const std::string who = fmt::format("{} '{}' ({})", l.op, l.node, l.format);
    if (f.distortion.has_non_finite()) list.push_back(who + " makes NaN or Inf");
    const bool dead =
        f.distortion.count() > 0 && f.distortion.zero_share() == 1 && f.distortion.signal_power() > 0;
    if (dead)
      list.push_back(who + " is dead: all zeros where FP32 has signal");
    else if (f.dead_channels > 0 && f.dead_channels * 20 >= f.channels)
      list.push_back(fmt::format("{}: {} of {} channels are dead (constant where FP32 varies)", who,
                                 f.dead_channels, f.channels));
    if (f.saturated_share() > 0.01)
      list.push_back(fmt::format("{}: {:.1f}% of values saturate", who, 100 * f.saturated_share()));
  }
  return list;
}

}  // namespace narrow::verify
