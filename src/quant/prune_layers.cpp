#include "quant/prune_layers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>

#include "quant/heavy_shape.h"
#include "quant/layer_moments.h"
#include "quant/layer_weights.h"
#include "quant/prune.h"
#include "quant/regions.h"
#include "quant/rounding_problem.h"

namespace narrow::quant {
namespace {

/// Reads what the model is given, perhaps moved.
bool reads_model_input(const ir::Graph& graph, const ir::Node& node) {
  const ir::Value* value = node.input(0);
  while (value->producer() != nullptr && is_movement(*value->producer())) value = value->producer()->input(0);
  return value->producer() == nullptr &&
         std::find(graph.inputs().begin(), graph.inputs().end(), value) != graph.inputs().end();
}

/// Empty: the layer is pruned.
std::string why_dense(const ir::Graph& graph, const ir::Node& node, const PruneOptions& options) {
  const ir::Value* weights = node.input(1);
  if (weights->constant().dtype() != DType::f32) return "weights are not FP32";
  if (weights->uses().size() > 1) return "shares its weights";
  const HeavyShape shape = heavy_shape(node);
  if (shape.groups > 1 && shape.channels == 1) return "depthwise";
  if (reads_model_input(graph, node)) return "reads the model's input";
  if (weights->constant().elements() < options.fewest)
    return fmt::format("{} weights", weights->constant().elements());
  return unsuited(options.pattern, shape);
}

/// A group's weights as they are to be.
void put_matrix(const HeavyShape& shape, int64_t group, const std::vector<float>& matrix, Tensor& weights) {
  auto out = weights.mutable_data<float>();
  for (int64_t k = 0; k < shape.k; ++k)
    for (int64_t n = 0; n < shape.n; ++n)
      out[static_cast<size_t>(shape.index(group, k, n))] = matrix[static_cast<size_t>(k * shape.n + n)];
}

int64_t zeros_in(const Tensor& weights) {
  const auto values = weights.data<float>();
  return std::count(values.begin(), values.end(), 0.0F);
}

std::vector<float> masked(std::vector<float> weights, const std::vector<uint8_t>& keep) {
  for (size_t i = 0; i < weights.size(); ++i)
    if (keep[i] == 0) weights[i] = 0;
  return weights;
}

/// New parameters of one layer.
struct Changed {
  Tensor weights;
  std::optional<Tensor> bias;
};

Changed prune_alone(const ir::Node& node, const PruneOptions& options) {
  const HeavyShape shape = heavy_shape(node);
  Changed changed{node.input(1)->constant().clone(), std::nullopt};
  for (int64_t g = 0; g < shape.groups; ++g) {
    const std::vector<float> weights = matrix_of(node, g);
    const std::vector<uint8_t> keep = keep_by_magnitude(weights, shape.n, options.pattern, shape);
    put_matrix(shape, g, masked(weights, keep), changed.weights);
  }
  return changed;
}

/// The bias with the means that are missing; nothing where there is no place for it.
std::optional<Tensor> shifted_bias(const ir::Node& node, const std::vector<float>& shift) {
  if (!takes_bias(node, static_cast<int64_t>(shift.size()))) return std::nullopt;
  Tensor bias = node.input(2) != nullptr ? node.input(2)->constant().clone()
                                         : Tensor::zeros(DType::f32, {static_cast<int64_t>(shift.size())});
  auto values = bias.mutable_data<float>();
  for (size_t c = 0; c < values.size(); ++c) values[c] += shift[c];
  return bias;
}

/// A group's weights by what each means for the results.
std::vector<float> pruned_by_error(const Moments& moments, const std::vector<float>& weights,
                                   const HeavyShape& shape, bool centred, const PruneOptions& options,
                                   ThreadPool& pool) {
  const RoundingProblem problem =
      make_problem(moments, weights, {.damping = damping_for(moments, options.damping), .centred = centred});
  const std::vector<uint8_t> keep = options.by_loss
                                        ? keep_by_loss(problem, weights, options.pattern, shape, pool)
                                        : keep_by_magnitude(weights, shape.n, options.pattern, shape);
  return options.compensate ? fit_kept(problem, keep, pool) : masked(weights, keep);
}

Changed prune_with_data(const ir::Node& node, const LayerWalk& walk, const FakeQuantize& rounding,
                        const PruneOptions& options, ThreadPool& pool) {
  const HeavyShape shape = heavy_shape(node);
  Changed changed{node.input(1)->constant().clone(), std::nullopt};
  std::vector<float> shift;
  const bool centred = takes_bias(node, shape.groups * shape.n);
  const std::vector<Moments> moments = collect_moments(walk, rounding, node, true, pool);
  for (int64_t g = 0; g < shape.groups; ++g) {
    const Moments& own = moments[static_cast<size_t>(g)];
    const std::vector<float> weights = matrix_of(node, g);
    const std::vector<float> pruned =
        own.has_products() ? pruned_by_error(own, weights, shape, centred, options, pool)
                           : masked(weights, keep_by_magnitude(weights, shape.n, options.pattern, shape));
    put_matrix(shape, g, pruned, changed.weights);
    const std::vector<float> part = mean_shift(own, weights, pruned);
    shift.insert(shift.end(), part.begin(), part.end());
  }
  if (options.compensate) changed.bias = shifted_bias(node, shift);
  return changed;
}

/// By key; the graph is not changed.
Result<std::map<std::string, Changed>> walk_layers(const ir::Graph& graph,
                                                   const std::set<std::string>& layers,
                                                   const data::Dataset& dataset,
                                                   const std::shared_ptr<ThreadPool>& pool,
                                                   const PruneOptions& options, const Progress& progress) {
  const Recipe exact;  // data are not rounded
  const FakeQuantize rounding(graph, exact);
  NARROW_TRY(LayerWalk walk, LayerWalk::create(graph, layers, rounding, dataset, pool, options.walk));
  const auto stages = static_cast<int64_t>(walk.stages().size());
  std::map<std::string, Changed> changed;
  for (int64_t s = 0; s < stages; ++s) {
    report(progress, "prune", s, stages);
    NARROW_DO(walk.advance(static_cast<size_t>(s)));
    for (const ir::Node* node : walk.stages()[static_cast<size_t>(s)].nodes) {
      Changed layer = prune_with_data(*node, walk, rounding, options, *pool);
      walk.set_parameters(key_of(*node), layer.weights, layer.bias);
      changed[key_of(*node)] = std::move(layer);
    }
  }
  report(progress, "prune", stages, stages);
  return changed;
}

}  // namespace

PrunedWeights PruneReport::total() const {
  PrunedWeights sum;
  for (const PrunedLayer& layer : layers)
    sum.weights += layer.counts.weights, sum.zeros += layer.counts.zeros;
  return sum;
}

std::string PruneReport::note(const PruneOptions& options) const {
  const PrunedWeights sum = total();
  std::string text = fmt::format("prune: {} of the {} weights of {} layers are zero ({}, {}{})", sum.zeros,
                                 sum.weights, layers.size(), to_string(options.pattern),
                                 options.by_loss ? "by the loss of their absence" : "by magnitude",
                                 options.compensate ? ", made up for by the others" : "");
  std::vector<std::string> others;
  for (const auto& [key, reason] : dense) others.push_back(fmt::format("'{}' ({})", key, reason));
  constexpr size_t kShown = 4;
  const size_t more = others.size() > kShown ? others.size() - kShown : 0;
  others.resize(others.size() - more);
  if (!others.empty()) text += fmt::format("; dense: {}", fmt::join(others, ", "));
  if (more > 0) text += fmt::format(" and {} more", more);
  return text;
}

Result<PruneReport> prune(ir::Graph& graph, const data::Dataset* dataset, std::shared_ptr<ThreadPool> pool,
                          const PruneOptions& options, const Progress& progress) {
  NARROW_CHECK(dataset != nullptr || !options.wants_data());
  PruneReport report;
  std::set<std::string> layers;
  for (const ir::Node* node : graph.nodes()) {
    if (node->outputs().empty() || !is_heavy(*node)) continue;
    std::string reason = why_dense(graph, *node, options);
    if (reason.empty())
      layers.insert(key_of(*node));
    else
      report.dense[key_of(*node)] = std::move(reason);
  }
  std::map<std::string, Changed> changed;
  if (options.wants_data()) {
    NARROW_TRY(changed, walk_layers(graph, layers, *dataset, pool, options, progress));
  }
  for (ir::Node* node : graph.nodes()) {
    if (node->outputs().empty() || !layers.contains(key_of(*node))) continue;
    const std::string& key = key_of(*node);
    if (!options.wants_data()) changed[key] = prune_alone(*node, options);
    const auto found = changed.find(key);
    if (found == changed.end()) {  // the walk did not meet it
      report.dense[key] = "is not reached by the data";
      continue;
    }
    Tensor& weights = found->second.weights;
    report.layers.push_back({key, {weights.elements(), zeros_in(weights)}});
    graph.set_input(node, 1, graph.add_constant(node->input(1)->name + "_pruned", std::move(weights)));
    if (found->second.bias)
      graph.set_input(node, 2, graph.add_constant(key + "_pruned_bias", std::move(*found->second.bias)));
  }
  graph.remove_dead();
  return report;
}

}  // namespace narrow::quant
