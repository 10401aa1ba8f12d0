#include "quant/learned_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "kernels/gradient/gradient.h"
#include "quant/codes.h"
#include "quant/reconstruction.h"

namespace narrow::quant {
namespace {

/// v with h(v) = share; what lies at the ends starts a little inside, where h still has a slope.
float inverse_share(float share) {
  const float sigmoid = (std::clamp(share, 0.01F, 0.99F) + 0.1F) / 1.2F;
  return std::log(sigmoid / (1.0F - sigmoid));
}

/// One layer's weights under way.
class Layer {
 public:
  static Result<Layer> create(const LayerStart& start, std::span<const float> weights, float trust);

  int64_t size() const { return static_cast<int64_t>(v_.size()); }
  std::span<float> gradient() { return gradient_; }

  /// The two codes: the start's, and its neighbour where gradient() says that the loss falls.
  void aim() {
    const CodeRange range = code_range(start_.start);
    const std::vector<float> codes = to_floats(start_.start.codes);
    for (size_t i = 0; i < codes.size(); ++i) {
      const float floor =
          std::clamp(gradient_[i] > 0 ? codes[i] - 1.0F : codes[i], range.low, range.high - 1.0F);
      floor_[i] = floor - zero_[i];
      v_[i] = inverse_share(codes[i] - floor);
    }
  }

  /// Writes the weights as they are now: `pressure` etc. are not looked at where rate is 0.
  void step(std::span<float> weights, float rate, float square_scale, float pressure, int sharpness, Isa isa,
            ThreadPool& pool) {
    parallel_for(pool, size(), 8 << 10, [&](int64_t begin, int64_t end) {
      kernels::rounding_step({.code = floor_.data() + begin,
                              .scale = scale_.data() + begin,
                              .gradient = gradient_.data() + begin,
                              .v = v_.data() + begin,
                              .mean = mean_.data() + begin,
                              .square = square_.data() + begin,
                              .weights = weights.data() + begin,
                              .n = end - begin,
                              .rate = rate,
                              .square_scale = square_scale,
                              .pressure = pressure,
                              .sharpness = sharpness},
                             isa);
    });
    for (const auto& [place, number] : apart_) weights[place] = number;
  }

  /// Every h rounded.
  LayerStart rounded() const {
    std::vector<float> codes(v_.size());
    for (size_t i = 0; i < v_.size(); ++i)
      codes[i] = floor_[i] + zero_[i] + (kernels::rounding_share(v_[i]) >= 0.5F ? 1.0F : 0.0F);
    for (const auto& [place, number] : apart_) codes[place] = zero_[place];
    LayerStart result = start_;
    result.start.codes = cast(Tensor::of(start_.start.codes.shape(), codes), start_.start.codes.dtype());
    return result;
  }

 private:
  LayerStart start_;
  std::vector<float> floor_, zero_, scale_, v_, mean_, square_, gradient_;
  std::vector<std::pair<size_t, float>> apart_;  // weights that stay as the start has them
};

Result<Layer> Layer::create(const LayerStart& start, std::span<const float> weights, float trust) {
  const GroupedWeights& w = start.start;
  NARROW_DO(check_codes(w, weights.size(), start.node));
  const CodeRange range = code_range(w);
  const std::vector<float> codes = to_floats(w.codes);
  Layer layer;
  layer.start_ = start;
  layer.zero_ = zero_points_of_weights(w);
  layer.scale_ = scales_of_weights(w);
  for (std::vector<float>* list : {&layer.floor_, &layer.v_}) list->resize(weights.size());
  for (std::vector<float>* list : {&layer.mean_, &layer.square_, &layer.gradient_})
    list->assign(weights.size(), 0.0F);
  for (size_t i = 0; i < weights.size(); ++i) {
    // The two codes: the start's and its neighbour on the weight's side.
    const float exact = weights[i] / layer.scale_[i] + layer.zero_[i];
    float floor = exact >= codes[i] ? codes[i] : codes[i] - 1.0F;
    floor = std::clamp(floor, range.low, range.high - 1.0F);
    const float share = std::clamp(exact - floor, 0.0F, 1.0F), own = codes[i] - floor;
    layer.floor_[i] = floor - layer.zero_[i];
    layer.v_[i] = inverse_share(share + trust * (own - share));
  }
  const Tensor numbers = dequantize_groups(w);
  for (const int64_t place : w.apart.places())
    layer.apart_.emplace_back(place, numbers.data<float>()[static_cast<size_t>(place)]);
  return layer;
}

/// Samples in an order drawn anew for every pass over them.
class Shuffle {
 public:
  Shuffle(std::vector<int64_t> samples, uint64_t seed)
      : samples_(std::move(samples)), next_(samples_.size()), random_(seed) {}

  std::vector<int64_t> draw(int64_t count) {
    std::vector<int64_t> batch;
    while (static_cast<int64_t>(batch.size()) < count) {
      if (next_ == samples_.size()) {
        for (size_t i = samples_.size(); i > 1; --i)
          std::swap(samples_[i - 1],
                    samples_[static_cast<size_t>(random_.integer(0, static_cast<int64_t>(i) - 1))]);
        next_ = 0;
      }
      batch.push_back(samples_[next_++]);
    }
    return batch;
  }

 private:
  std::vector<int64_t> samples_;
  size_t next_;
  Random random_;
};

struct Split {
  std::vector<int64_t> learn, judge;
};

/// Evenly spaced samples judge, at least one when there are two.
Split split(int64_t samples, double share) {
  Split s;
  auto judges = static_cast<int64_t>(std::llround(static_cast<double>(samples) * share));
  if (share > 0) judges = std::clamp<int64_t>(judges, 1, samples / 2);
  for (int64_t i = 0; i < samples; ++i) {
    const bool judge = judges > 0 && i * judges / samples != (i + 1) * judges / samples;
    (judge ? s.judge : s.learn).push_back(i);
  }
  return s;
}

/// beta after the warm-up, t in [0, 1]: from the first to the last along half a cosine (as BRECQ's code has
/// it a line, AdaRound's a cosine), in whole steps, so that powers are products.
int sharpness_at(const RoundingOptions& o, double t) {
  const double first = o.first_sharpness, last = o.last_sharpness;
  return static_cast<int>(std::lround(last + 0.5 * (first - last) * (1.0 + std::cos(t * 3.14159265358979))));
}

class Learner {
 public:
  Learner(const ReconstructionTask& task, const RoundingOptions& options, Reconstruction reconstruction,
          std::vector<Layer> layers, std::shared_ptr<ThreadPool> pool, Isa isa)
      : task_(task),
        options_(options),
        reconstruction_(std::move(reconstruction)),
        layers_(std::move(layers)),
        pool_(std::move(pool)),
        isa_(isa),
        split_(split(task.samples, options.held_out)) {}

  Result<LearnedRounding> run(const Progress& progress) {
    LearnedRounding result{.layers = task_.layers, .learned = {}, .held_out = {}};
    for (const Layer& layer : layers_) result.weights += layer.size();
    NARROW_DO(judge(task_.layers, result.learned.before, result.held_out.before));
    if (result.learned.before > 0) NARROW_DO(learn(result, progress));
    std::vector<LayerStart> found;
    for (const Layer& layer : layers_) found.push_back(layer.rounded());
    NARROW_DO(judge(found, result.learned.after, result.held_out.after));
    const ReconstructionLoss& deciding = split_.judge.empty() ? result.learned : result.held_out;
    result.kept_start = !(deciding.after < deciding.before);
    if (result.kept_start) {
      result.learned.after = result.learned.before, result.held_out.after = result.held_out.before;
      return result;
    }
    for (size_t l = 0; l < found.size(); ++l) {
      const auto *now = static_cast<const uint8_t*>(found[l].start.codes.raw()),
                 *was = static_cast<const uint8_t*>(task_.layers[l].start.codes.raw());
      for (int64_t i = 0; i < layers_[l].size(); ++i) result.changed += now[i] != was[i] ? 1 : 0;
    }
    result.layers = std::move(found);
    return result;
  }

 private:
  /// Mean squared errors with these codes.
  Status judge(const std::vector<LayerStart>& layers, double& learned, double& held_out) {
    for (const LayerStart& layer : layers) {
      const Tensor weights = dequantize_groups(layer.start);
      const auto from = weights.data<float>();
      std::copy(from.begin(), from.end(), reconstruction_.network().weights(layer.node).begin());
    }
    const auto elements = static_cast<double>(reconstruction_.elements_per_sample());
    NARROW_TRY(const double on_learn, reconstruction_.loss(split_.learn));
    NARROW_TRY(const double on_judge, reconstruction_.loss(split_.judge));
    learned = on_learn / (elements * static_cast<double>(split_.learn.size()));
    held_out = split_.judge.empty() ? 0 : on_judge / (elements * static_cast<double>(split_.judge.size()));
    return {};
  }

  /// d/dw of (weights / loss at the start) * mean loss of a batch.
  float gradient_factor(const LearnedRounding& start, int64_t batch) const {
    const double elements =
        static_cast<double>(reconstruction_.elements_per_sample()) * static_cast<double>(batch);
    return static_cast<float>(2.0 * static_cast<double>(start.weights) / (start.learned.before * elements));
  }

  Status learn(const LearnedRounding& start, const Progress& progress) {
    Shuffle shuffle(split_.learn, options_.seed);
    const int64_t batch = std::min(options_.batch, static_cast<int64_t>(split_.learn.size()));
    const float factor = gradient_factor(start, batch);
    std::vector<std::span<float>> gradients;
    for (Layer& layer : layers_) gradients.push_back(layer.gradient());
    if (options_.neighbour == Neighbour::downhill) {
      NARROW_TRY([[maybe_unused]] const double loss,
                 reconstruction_.loss_and_gradients(split_.learn, 1, gradients));
      for (Layer& layer : layers_) layer.aim();
    }
    update(0, 1, 0, 2);  // only writes the weights
    const auto warm = static_cast<int64_t>(options_.warm_up * static_cast<double>(options_.iterations));
    for (int64_t t = 0; t < options_.iterations; ++t) {
      NARROW_TRY([[maybe_unused]] const double loss,
                 reconstruction_.loss_and_gradients(shuffle.draw(batch), factor, gradients));
      const double along = static_cast<double>(t - warm) /
                           static_cast<double>(std::max<int64_t>(1, options_.iterations - warm));
      const auto steps = static_cast<double>(t + 1);
      update(options_.rate / static_cast<float>(1.0 - std::pow(0.9, steps)),
             static_cast<float>(1.0 / (1.0 - std::pow(0.999, steps))), t < warm ? 0.0F : options_.pressure,
             sharpness_at(options_, std::max(0.0, along)));
      report(progress, "learn rounding", t + 1, options_.iterations);
    }
    return {};
  }

  void update(float rate, float square_scale, float pressure, int sharpness) {
    for (size_t l = 0; l < layers_.size(); ++l)
      layers_[l].step(reconstruction_.network().weights(task_.layers[l].node), rate, square_scale, pressure,
                      sharpness, isa_, *pool_);
  }

  const ReconstructionTask& task_;
  const RoundingOptions& options_;
  Reconstruction reconstruction_;
  std::vector<Layer> layers_;
  std::shared_ptr<ThreadPool> pool_;
  Isa isa_;
  Split split_;
};

}  // namespace

Result<LearnedRounding> learn_rounding(const ReconstructionTask& task, const RoundingOptions& options,
                                       std::shared_ptr<ThreadPool> pool, const Progress& progress, Isa isa) {
  NARROW_TRY(Reconstruction reconstruction, Reconstruction::create(task, options.batch, pool, isa));
  std::vector<Layer> layers;
  for (const LayerStart& start : task.layers) {
    NARROW_TRY(Layer layer,
               Layer::create(start, reconstruction.network().weights(start.node), options.trust));
    layers.push_back(std::move(layer));
  }
  return Learner(task, options, std::move(reconstruction), std::move(layers), std::move(pool), isa)
      .run(progress);
}

}  // namespace narrow::quant
