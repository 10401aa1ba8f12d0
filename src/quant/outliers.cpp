#include "quant/outliers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <queue>

#include "numerics/fp16.h"
#include "quant/channel_profile.h"
#include "quant/code_levels.h"
#include "quant/group_elements.h"
#include "quant/plan_formats.h"
#include "quant/regions.h"
#include "quant/weighted_fit.h"

namespace narrow::quant {
namespace {

/// Which weights of a group may go next.
enum class Candidate : uint8_t { least, largest, dearest };
constexpr std::array kCandidates = {Candidate::least, Candidate::largest, Candidate::dearest};

/// What taking the next weights of a group out would gain, a weight.
struct Offer {
  double gain = 0;
  int64_t group = 0;
  Candidate candidate = Candidate::least;
};
struct IsWorse {
  bool operator()(const Offer& a, const Offer& b) const {
    return a.gain != b.gain ? a.gain < b.gain : a.group > b.group;
  }
};

class Finder {
 public:
  Finder(const Tensor& weights, const GroupedWeights& like, const WeightCosts& costs)
      : weights_(weights.data<float>()),
        costs_(costs),
        options_(options_of(like)),
        half_scales_(like.scale.dtype() == DType::f16),
        groups_(weights.shape(), like.axis, like.group_size),
        taken_(weights_.size(), 0) {}

  std::vector<int64_t> run(double share) {
    const auto budget = static_cast<int64_t>(share * static_cast<double>(weights_.size()));
    take(budget);
    return close_gaps(longest_within(budget));
  }

 private:
  /// In larger groups several at a time: the work for a weight stays bounded.
  static constexpr size_t kSlowFrom = 128;

  // ------------------------------------------------------------ the dearest, one after the other

  void take(int64_t budget) {
    std::vector<Offer> offers;
    for (int64_t g = 0; g < groups_.count(); ++g)
      if (const Offer offer = best_offer(g); offer.gain > 0) offers.push_back(offer);
    std::priority_queue<Offer, std::vector<Offer>, IsWorse> queue(IsWorse{}, std::move(offers));
    while (!queue.empty() && std::ssize(order_) < budget) {
      const Offer offer = queue.top();
      queue.pop();
      load(offer.group);
      for (const size_t i : chosen(offer.candidate)) {
        order_.push_back(static_cast<int64_t>(elements_[i]));
        taken_[elements_[i]] = 1;
      }
      if (const Offer next = best_offer(offer.group); next.gain > 0) queue.push(next);
    }
  }

  /// What is left of a group.
  void load(int64_t group) {
    groups_.list(group, elements_);
    std::erase_if(elements_, [&](size_t i) { return taken_[i] != 0; });
    numbers_.clear(), importance_.clear();
    for (const size_t i : elements_) {
      numbers_.push_back(weights_[i]);
      importance_.push_back(costs_.of(static_cast<int64_t>(i)));
    }
  }

  Offer best_offer(int64_t group) {
    load(group);
    Offer best{.gain = 0, .group = group, .candidate = Candidate::least};
    if (elements_.size() < 2) return best;
    fit_ = fit_weighted(numbers_, importance_, options_, half_scales_);
    const double before = weighted_error(numbers_, importance_, options_, fit_);
    std::vector<size_t> tried;
    for (const Candidate candidate : kCandidates) {
      const std::vector<size_t> out = chosen(candidate);
      if (out.empty() || out == tried) continue;
      const double gain = (before - error_without(out)) / static_cast<double>(out.size());
      if (gain > best.gain) best.gain = gain, best.candidate = candidate;
      tried = out;
    }
    return best;
  }

  /// Of what load() found: those of this kind that go next, some of the group left behind.
  std::vector<size_t> chosen(Candidate candidate) {
    if (candidate == Candidate::dearest) fit_ = fit_weighted(numbers_, importance_, options_, half_scales_);
    const CodeLevels levels = code_levels(options_);
    const auto key = [&](size_t i) {
      if (candidate == Candidate::dearest) return loss(i, levels);
      return static_cast<double>(candidate == Candidate::least ? -numbers_[i] : numbers_[i]);
    };
    std::vector<std::pair<double, size_t>> keys;
    for (size_t i = 0; i < elements_.size(); ++i)
      if (std::fabs(numbers_[i]) <= f16::kMax) keys.emplace_back(-key(i), i);
    const size_t count =
        std::min({keys.size(), std::max<size_t>(1, elements_.size() / kSlowFrom), elements_.size() - 1});
    std::partial_sort(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(count), keys.end());
    std::vector<size_t> list;
    for (size_t i = 0; i < count; ++i) list.push_back(keys[i].second);
    std::sort(list.begin(), list.end());
    return list;
  }

  double loss(size_t i, const CodeLevels& levels) const {
    const float back = static_cast<float>(code_of(numbers_[i], fit_, levels) - fit_.zero_point) * fit_.scale;
    const double error = static_cast<double>(numbers_[i]) - static_cast<double>(back);
    return static_cast<double>(importance_[i]) * error * error;
  }

  double error_without(const std::vector<size_t>& out) const {
    std::vector<float> numbers, importance;
    for (size_t i = 0; i < elements_.size(); ++i) {
      if (std::binary_search(out.begin(), out.end(), i)) continue;
      numbers.push_back(numbers_[i]), importance.push_back(importance_[i]);
    }
    return weighted_error(numbers, importance, options_,
                          fit_weighted(numbers, importance, options_, half_scales_));
  }

  // ------------------------------------------------------------ no gap longer than a byte

  /// How many weights have to go between two places.
  static int64_t needed(int64_t gap) { return std::max<int64_t>(0, (gap - 1) / kLargestGap); }

  /// Weights apart when the first `count` of the order are: each more adds one and spares at most one.
  int64_t apart_with(int64_t count) const {
    std::vector<int64_t> places(order_.begin(), order_.begin() + count);
    std::sort(places.begin(), places.end());
    int64_t sum = count, before = 0;
    for (const int64_t place : places) sum += needed(place - before), before = place;
    return sum;
  }

  /// As many of the order as there is room for with what has to go between, ascending.
  std::vector<int64_t> longest_within(int64_t budget) {
    int64_t fits = 0, fails = std::ssize(order_) + 1;
    while (fails - fits > 1) {
      const int64_t middle = fits + (fails - fits) / 2;
      (apart_with(middle) <= budget ? fits : fails) = middle;
    }
    for (int64_t i = fits; i < std::ssize(order_); ++i)
      taken_[static_cast<size_t>(order_[static_cast<size_t>(i)])] = 0;
    order_.resize(static_cast<size_t>(fits));
    std::sort(order_.begin(), order_.end());
    return order_;
  }

  /// Nothing where no weight between two places can be stored.
  std::vector<int64_t> close_gaps(const std::vector<int64_t>& places) {
    const std::vector<float> losses = all_losses();
    std::vector<int64_t> closed;
    int64_t before = 0;
    for (const int64_t place : places) {
      for (int64_t more = needed(place - before); more > 0; --more) {
        int64_t dearest = -1;
        for (int64_t i = std::max(before + 1, place - more * kLargestGap); i <= before + kLargestGap; ++i) {
          const float loss = losses[static_cast<size_t>(i)];
          if (loss >= 0 && (dearest < 0 || loss > losses[static_cast<size_t>(dearest)])) dearest = i;
        }
        if (dearest < 0) return {};
        closed.push_back(before = dearest);
      }
      closed.push_back(before = place);
    }
    return closed;
  }

  /// H_kk (w - w')^2 of every weight not taken; negative where it cannot be.
  std::vector<float> all_losses() {
    std::vector<float> losses(weights_.size(), -1);
    const CodeLevels levels = code_levels(options_);
    for (int64_t g = 0; g < groups_.count(); ++g) {
      load(g);
      if (elements_.empty()) continue;
      fit_ = fit_weighted(numbers_, importance_, options_, half_scales_);
      for (size_t i = 0; i < elements_.size(); ++i)
        if (std::fabs(numbers_[i]) <= f16::kMax) losses[elements_[i]] = static_cast<float>(loss(i, levels));
    }
    return losses;
  }

  std::span<const float> weights_;
  const WeightCosts& costs_;
  GroupOptions options_;
  bool half_scales_;
  GroupElements groups_;
  std::vector<uint8_t> taken_;
  std::vector<int64_t> order_;  // places, the dearest first
  // of the group at hand
  std::vector<size_t> elements_;
  std::vector<float> numbers_, importance_;
  ScaleFit fit_;
};

}  // namespace

WeightCosts weight_costs(const ir::Node& node, const calib::Profile* profile) {
  const Tensor& weights = weights_of(node)->constant();
  const bool convolution = node.op() == ir::Op::Conv;
  const int64_t axis = convolution ? 1 : 1 - channel_axis(node);
  const int64_t groups = convolution ? node.int_attr("group", 1) : 1;
  WeightCosts costs;
  costs.extent = weights.dim(axis);
  costs.inner = elements_of(Shape(weights.shape().begin() + axis + 1, weights.shape().end()));
  costs.group_elements = weights.elements() / groups;
  const ir::Value* data = node.input(0);
  if (profile == nullptr || !data->type.ranked) return costs;
  const int64_t data_axis = convolution ? 1 : data->type.rank() - 1;
  const calib::ValueProfile* seen = channel_profile(*profile, data, data_axis, costs.extent * groups);
  if (seen != nullptr) costs.square = seen->channel_square;
  return costs;
}

std::vector<int64_t> find_outliers(const Tensor& weights, const GroupedWeights& like,
                                   const WeightCosts& costs, double share) {
  return Finder(weights, like, costs).run(share);
}

Result<OutlierReport> set_outliers_apart(const ir::Graph& graph, const calib::Profile* profile,
                                         Recipe& recipe, ThreadPool& pool, double percent) {
  if (recipe.target == Target::tensorrt)
    return Error{.code = Code::unsupported,
                 .subject = "outliers",
                 .expected = "portable files",
                 .got = "TensorRT as the target: it takes weights in four bits with nothing beside them"};
  std::vector<std::pair<const ir::Node*, GroupedWeights*>> layers;
  for (const ir::Node* node : graph.nodes()) {
    const auto found = node->outputs().empty() ? recipe.groups.end() : recipe.groups.find(key_of(*node));
    if (found != recipe.groups.end() && (found->second.bits < 8 || found->second.group_size > 0))
      layers.emplace_back(node, &found->second);
  }
  pool.run(std::ssize(layers), [&](int64_t i) {
    const ir::Node& node = *layers[static_cast<size_t>(i)].first;
    GroupedWeights& stored = *layers[static_cast<size_t>(i)].second;
    const Tensor& weights = weights_of(node)->constant();
    const std::vector<int64_t> places =
        find_outliers(weights, stored, weight_costs(node, profile), percent / 100);
    stored = quantize_groups(weights, stored.axis, options_of(stored), fit_group, places);
  });
  OutlierReport report;
  for (const auto& [node, stored] : layers) {
    if (profile != nullptr) correct_bias(*node, *profile, dequantize_groups(*stored), recipe);
    report.layers += stored->apart.count() > 0 ? 1 : 0;
    report.apart += stored->apart.count(), report.weights += stored->codes.elements();
  }
  return report;
}

}  // namespace narrow::quant
