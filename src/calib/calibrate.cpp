#include "calib/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "kernels/statistics/statistics.h"
#include "runtime/session.h"
#include "runtime/states.h"

namespace narrow::calib {
namespace {

/// Feeds every float output of every step to its profile. Pieces go to the pool's threads; integer counts
/// make the merged histogram independent of the split.
class Recorder final : public runtime::Observer {
 public:
  Recorder(Profile& profile, ThreadPool& pool) : profile_(profile), pool_(pool) {}

  void after(const ir::Node& node, std::span<const runtime::ValueView> outputs) override {
    for (const runtime::ValueView& view : outputs) {
      if (view.value->type.dtype != DType::f32 || view.value->origin.empty()) continue;
      record(view.value->origin, view.floats(room_), view.shape, channel_axis(view));
      if (profile_.values[view.value->origin].histogram.has_nan() && !bad_) bad_ = node.location();
    }
  }

  void record(const std::string& name, std::span<const float> values, const Shape& shape, int64_t axis) {
    ValueProfile& value = profile_.values[name];
    constexpr size_t kPiece = 1 << 16;
    const size_t pieces = std::max<size_t>(1, values.size() / kPiece);
    Extremes extremes;
    if (pieces == 1) {
      extremes = value.histogram.add(values);
    } else {
      const size_t workers = std::min<size_t>(pieces, static_cast<size_t>(pool_.threads()));
      std::vector<Histogram> partial(workers);
      pool_.run(static_cast<int64_t>(workers), [&](int64_t w) {
        const size_t first = values.size() * static_cast<size_t>(w) / workers,
                     last = values.size() * (static_cast<size_t>(w) + 1) / workers;
        partial[static_cast<size_t>(w)].add(values.subspan(first, last - first));
      });
      for (const Histogram& h : partial) {
        value.histogram.merge(h);
        extremes = joined(extremes, {h.min(), h.max(), h.count()});
      }
    }
    average(name, value, extremes);
    if (axis >= 0) record_channels(name, value, values, shape, axis);
  }

  const std::optional<std::string>& bad_node() const { return bad_; }

  static Extremes joined(const Extremes& a, const Extremes& b) {
    if (a.count == 0) return b;
    return b.count == 0 ? a : Extremes{std::min(a.min, b.min), std::max(a.max, b.max), a.count + b.count};
  }

  /// The averages of profile.h, a batch further.
  void average(const std::string& name, ValueProfile& value, const Extremes& batch) {
    if (batch.count == 0) return;
    const double share = std::max(1.0 / static_cast<double>(++batches_[name]), kAveraging);
    value.average_min +=
        static_cast<float>(share * (static_cast<double>(batch.min) - static_cast<double>(value.average_min)));
    value.average_max +=
        static_cast<float>(share * (static_cast<double>(batch.max) - static_cast<double>(value.average_max)));
  }

  /// Channel means follow from the sums once all samples were seen.
  void finish() {
    for (const auto& [name, sums] : sums_) {
      ValueProfile& value = profile_.values[name];
      for (const double total : sums.total)
        value.channel_mean.push_back(static_cast<float>(total / static_cast<double>(sums.count)));
      for (const double square : sums.square)
        value.channel_square.push_back(static_cast<float>(square / static_cast<double>(sums.count)));
    }
  }

 private:
  /// The channel axis of the ONNX value, as it lies here; -1 for values without one.
  static int64_t channel_axis(const runtime::ValueView& view) {
    const auto rank = static_cast<int64_t>(view.shape.size());
    if (rank < 2) return -1;
    const int64_t wanted = rank >= 4 ? 1 : rank - 1;
    if (view.value->origin_perm.empty()) return wanted;
    const auto& perm = view.value->origin_perm;
    return std::find(perm.begin(), perm.end(), wanted) - perm.begin();
  }

  void record_channels(const std::string& name, ValueProfile& value, std::span<const float> values,
                       const Shape& shape, int64_t axis) {
    const int64_t channels = shape[static_cast<size_t>(axis)];
    constexpr int64_t kMostChannels = 65536;
    if (channels <= 0 || channels > kMostChannels) return;
    if (static_cast<int64_t>(value.channel_min.size()) != channels) {
      value.channel_min.assign(static_cast<size_t>(channels), std::numeric_limits<float>::max());
      value.channel_max.assign(static_cast<size_t>(channels), std::numeric_limits<float>::lowest());
    }
    int64_t inner = 1;
    for (size_t i = static_cast<size_t>(axis) + 1; i < shape.size(); ++i) inner *= shape[i];
    const int64_t outer = static_cast<int64_t>(values.size()) / std::max<int64_t>(1, channels * inner);
    float *low = value.channel_min.data(), *high = value.channel_max.data();
    Sums& sums = sums_[name];
    sums.total.resize(static_cast<size_t>(channels), 0.0);
    sums.square.resize(static_cast<size_t>(channels), 0.0);
    sums.count += outer * inner;
    double *total = sums.total.data(), *square = sums.square.data();
    if (inner == 1) return record_rows(values.data(), outer, channels, {low, high, total, square});
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t c = 0; c < channels; ++c) {
        const float* x = values.data() + (o * channels + c) * inner;
        for (int64_t i = 0; i < inner; ++i) {
          low[c] = x[i] < low[c] ? x[i] : low[c];
          high[c] = x[i] > high[c] ? x[i] : high[c];
          total[c] += x[i];
          square[c] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        }
      }
  }

  /// Channels last. Threads share the channels, so a sum never depends on their number.
  void record_rows(const float* x, int64_t rows, int64_t channels, const kernels::ChannelStatistics& all) {
    constexpr int64_t kGrain = 16;  // a vector
    parallel_for(pool_, channels, kGrain, [&](int64_t first, int64_t end) {
      kernels::channel_statistics(x + first, rows, channels, end - first,
                                  {all.low + first, all.high + first, all.total + first, all.square + first},
                                  isa_);
    });
  }

  struct Sums {
    std::vector<double> total, square;
    int64_t count = 0;
  };

  Profile& profile_;
  ThreadPool& pool_;
  std::vector<float> room_;
  Isa isa_ = usable_isa();
  std::map<std::string, Sums> sums_;
  std::map<std::string, int64_t> batches_;
  std::optional<std::string> bad_;
};

/// What a run takes: the values of one batch, read and computed, and a histogram for each value.
Result<int64_t> memory_for(runtime::Session& session, const TensorMap& inputs) {
  std::map<std::string, Shape> shapes;
  int64_t bytes = 0;
  for (const auto& [name, tensor] : inputs) shapes[name] = tensor.shape(), bytes += tensor.bytes();
  NARROW_TRY(const runtime::PlanInfo plan, session.plan_info(shapes));
  constexpr int64_t kPerValue = Histogram::kBins * static_cast<int64_t>(sizeof(int64_t));
  return bytes + plan.arena_bytes + static_cast<int64_t>(plan.steps.size()) * kPerValue;
}

/// The largest batch, halved from the wanted one, whose run fits.
Result<int64_t> batch_within(const CalibrateOptions& options, runtime::Session& session,
                             const data::Dataset& dataset, ThreadPool& pool) {
  for (int64_t batch = dataset.batch_of(std::min(options.batch, dataset.size()));; batch /= 2) {
    NARROW_TRY(const data::Batch first, dataset.read(0, batch, pool));
    NARROW_TRY(const runtime::CarriedStates states,
               runtime::CarriedStates::create(dataset.info().states, session.interface()));
    NARROW_TRY(const int64_t bytes, memory_for(session, states.with(first.inputs)));
    if (bytes <= options.memory) return batch;
    if (batch == dataset.batch_of(1))
      return Error{.code = Code::invalid_argument,
                   .subject = "--memory",
                   .expected = fmt::format("at least {} bytes, what one sample needs", bytes),
                   .got = fmt::format("{}", options.memory),
                   .hint = "allow more, or calibrate on smaller inputs"};
  }
}

}  // namespace

Result<Profile> calibrate(const ir::Graph& graph, const std::string& model_hash, const data::Dataset& dataset,
                          std::shared_ptr<ThreadPool> pool, const CalibrateOptions& options,
                          const Progress& progress) {
  Profile profile{
      .model_hash = model_hash, .data_hash = dataset.info().hash, .samples = 0, .values = {}, .methods = {}};
  runtime::SessionOptions session_options;
  session_options.observe_all = true;
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool, session_options));
  Recorder recorder(profile, *pool);
  const int64_t total = options.samples > 0 ? std::min(options.samples, dataset.size()) : dataset.size();
  int64_t batch_size = dataset.batch_of(options.batch);
  if (options.memory > 0) {
    NARROW_TRY(batch_size, batch_within(options, session, dataset, *pool));
  }
  NARROW_TRY(runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset.info().states, ir::interface_of(graph)));
  for (int64_t first = 0; first < total; first += batch_size) {
    report(progress, "calibrate", first, total);
    NARROW_TRY(const data::Batch batch, dataset.read(first, std::min(batch_size, total - first), *pool));
    const TensorMap inputs = states.with(batch.inputs);
    for (const auto& [name, tensor] : inputs)
      if (tensor.dtype() == DType::f32)
        recorder.record(name, tensor.data<float>(), tensor.shape(),
                        tensor.rank() >= 4 ? 1 : tensor.rank() - 1);
    NARROW_TRY(const TensorMap outputs, session.run(inputs, &recorder));
    states.take(outputs);
    if (recorder.bad_node())
      return Error{.code = Code::numerical,
                   .subject = *recorder.bad_node(),
                   .expected = "finite values on calibration data",
                   .got = fmt::format("NaN in samples {} to {}", first, first + batch.count - 1),
                   .hint = "check the data's scale, mean and std, and the model's weights"};
    profile.samples += batch.count;
  }
  recorder.finish();
  report(progress, "calibrate", total, total);
  return profile;
}

}  // namespace narrow::calib
