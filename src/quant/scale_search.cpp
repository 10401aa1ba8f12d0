#include "quant/scale_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/codes.h"
#include "quant/reconstruction.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// Where the channels of one sample's output lie.
struct Channels {
  int64_t outer, count, inner;
};

Error other_layout(const std::string& node, std::string got) {
  return {.code = Code::invalid_argument,
          .subject = "'" + node + "'",
          .expected = "a block of one product and element-wise functions, its channels in the output",
          .got = std::move(got),
          .hint = {}};
}

class Search {
 public:
  Search(const ReconstructionTask& task, Reconstruction reconstruction, std::shared_ptr<ThreadPool> pool,
         int64_t weight_axis, Channels output, const Progress& progress)
      : task_(task),
        start_(task.layers[0].start),
        reconstruction_(std::move(reconstruction)),
        pool_(std::move(pool)),
        weight_axis_(weight_axis),
        output_(output),
        progress_(progress),
        weights_(weights_now()) {}

  Result<SearchedScales> run(const ScaleSearchOptions& o) {
    std::vector<double> factors{1.0};
    for (int64_t i = 0; i < o.candidates; ++i)
      factors.push_back(o.least + (o.most - o.least) * static_cast<double>(i) /
                                      static_cast<double>(std::max<int64_t>(1, o.candidates - 1)));
    const auto channels = static_cast<size_t>(output_.count);
    std::vector<double> best(channels, 1.0), least(channels, 0.0);
    double before = 0;
    for (size_t k = 0; k < factors.size(); ++k) {
      NARROW_TRY(const std::vector<double> errors, errors_with(std::vector<double>(channels, factors[k])));
      for (size_t c = 0; c < channels; ++c) {
        if (k == 0) before += errors[c];
        if (k == 0 || errors[c] < least[c]) least[c] = errors[c], best[c] = factors[k];
      }
      report(progress_, "search scales", static_cast<int64_t>(k) + 1, static_cast<int64_t>(factors.size()));
    }
    const auto elements = static_cast<double>(task_.outputs.begin()->second.elements());
    SearchedScales result{.layer = {task_.layers[0].node, quantized(best)}, .loss = {}};
    result.loss.before = before / elements;
    result.loss.after = std::accumulate(least.begin(), least.end(), 0.0) / elements;
    result.changed = std::count_if(best.begin(), best.end(), [](double f) { return f != 1.0; });
    return result;
  }

 private:
  std::vector<float> weights_now() {
    const auto weights = reconstruction_.network().weights(task_.layers[0].node);
    return {weights.begin(), weights.end()};
  }

  /// The weights to nearest, every channel's scales times its factor.
  GroupedWeights quantized(const std::vector<double>& factors) const {
    GroupedWeights w = start_;
    std::vector<float> scale = to_floats(start_.scale);
    for (size_t i = 0; i < scale.size(); ++i)
      scale[i] = static_cast<float>(static_cast<double>(scale[i]) *
                                    factors[static_cast<size_t>(channel_of(start_.scale.shape(), i))]);
    w.scale = cast(Tensor::of(start_.scale.shape(), scale), start_.scale.dtype());
    w.codes = nearest_codes(w, weights_);
    return w;
  }

  /// The result channel of a parameter: scales per channel are a list, those of groups have the weights'
  /// axes.
  int64_t channel_of(const Shape& shape, size_t i) const {
    if (start_.group_size == 0) return static_cast<int64_t>(i);
    int64_t inner = 1;
    for (size_t a = static_cast<size_t>(weight_axis_) + 1; a < shape.size(); ++a) inner *= shape[a];
    return static_cast<int64_t>(i) / inner % shape[static_cast<size_t>(weight_axis_)];
  }

  /// Squared errors by channel over all samples.
  Result<std::vector<double>> errors_with(const std::vector<double>& factors) {
    const Tensor rounded = dequantize_groups(quantized(factors));
    const auto values = rounded.data<float>();
    std::copy(values.begin(), values.end(), reconstruction_.network().weights(task_.layers[0].node).begin());
    std::vector<double> sums(factors.size(), 0.0);
    std::vector<int64_t> all(static_cast<size_t>(task_.samples));
    std::iota(all.begin(), all.end(), int64_t{0});
    const auto run = static_cast<size_t>(reconstruction_.run_size());
    for (size_t first = 0; first < all.size(); first += run) {
      const auto part = std::span(all).subspan(first, std::min(run, all.size() - first));
      NARROW_DO(reconstruction_.forward(part));
      add_errors(part, sums);
    }
    return sums;
  }

  void add_errors(std::span<const int64_t> samples, std::vector<double>& sums) {
    const std::string& name = task_.outputs.begin()->first;
    const float* outputs = reconstruction_.network().output(name).data<float>().data();
    const int64_t elements = output_.outer * output_.count * output_.inner;
    pool_->run(output_.count, [&](int64_t c) {
      for (size_t s = 0; s < samples.size(); ++s) {
        const float *got = outputs + static_cast<int64_t>(s) * elements,
                    *want = reconstruction_.target(name, samples, s),
                    *factor = reconstruction_.importance(name, samples, s);
        double sum = 0;
        for (int64_t o = 0; o < output_.outer; ++o)
          for (int64_t i = 0; i < output_.inner; ++i) {
            const int64_t at = (o * output_.count + c) * output_.inner + i;
            const double difference = static_cast<double>(got[at]) - static_cast<double>(want[at]);
            sum += difference * difference * (factor == nullptr ? 1.0 : static_cast<double>(factor[at]));
          }
        sums[static_cast<size_t>(c)] += sum;
      }
    });
  }

  const ReconstructionTask& task_;
  const GroupedWeights& start_;
  Reconstruction reconstruction_;
  std::shared_ptr<ThreadPool> pool_;
  int64_t weight_axis_;
  Channels output_;
  const Progress& progress_;
  std::vector<float> weights_;
};

}  // namespace

Result<SearchedScales> search_scales(const ReconstructionTask& task, const ScaleSearchOptions& options,
                                     std::shared_ptr<ThreadPool> pool, const Progress& progress, Isa isa) {
  if (task.layers.size() != 1 || task.outputs.size() != 1)
    return other_layout("block",
                        fmt::format("{} layers, {} outputs", task.layers.size(), task.outputs.size()));
  const std::string& key = task.layers[0].node;
  const ir::Value* value = task.block->find_value(key);
  if (value == nullptr || value->producer() == nullptr || !is_heavy(*value->producer()))
    return other_layout(key, "no heavy node of that name");
  const ir::Node& node = *value->producer();
  NARROW_TRY(Reconstruction reconstruction, Reconstruction::create(task, options.batch, pool, isa));
  NARROW_DO(check_codes(task.layers[0].start, reconstruction.network().weights(key).size(), key));
  const Tensor& output = task.outputs.begin()->second;
  const int64_t axis = node.op() == ir::Op::Conv ? 1 : output.rank() - 1, weight_axis = channel_axis(node);
  const int64_t channels = task.layers[0].start.codes.dim(weight_axis);
  if (axis < 1 || output.dim(axis) != channels)
    return other_layout(key, "an output of " + to_string(output.shape()));
  Channels layout{1, channels, 1};
  for (int64_t a = 0; a < output.rank(); ++a)
    if (a != axis) (a < axis ? layout.outer : layout.inner) *= output.dim(a);
  if (reconstruction.network().output_lies_last(task.outputs.begin()->first))
    layout.outer *= layout.inner, layout.inner = 1;
  layout.outer /= task.samples;
  return Search(task, std::move(reconstruction), std::move(pool), weight_axis, layout, progress).run(options);
}

}  // namespace narrow::quant
