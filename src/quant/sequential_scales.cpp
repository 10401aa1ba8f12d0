#include "quant/sequential_scales.h"

#include <optional>

#include "ir/extract.h"
#include "quant/apply_steps.h"
#include "quant/layer_moments.h"
#include "quant/layer_start.h"
#include "quant/layer_weights.h"
#include "quant/regions.h"
#include "quant/weights.h"
#include "runtime/session.h"

namespace narrow::quant {
namespace {

class Searcher {
 public:
  Searcher(const ir::Graph& original, LayerWalk& walk, const FakeQuantize& rounding, Recipe& recipe,
           const SequentialScaleOptions& options, const std::shared_ptr<ThreadPool>& pool)
      : original_(original),
        walk_(walk),
        rounding_(rounding),
        recipe_(recipe),
        options_(options),
        pool_(pool) {}

  Result<RescaledLayer> search(const ir::Node& node) {
    NARROW_TRY(RescaledLayer layer, searched(node));
    const Tensor& weights = weights_of(node)->constant();
    walk_.set_parameters(key_of(node), LayerWeights(node, recipe_).real(),
                         corrected_bias(recipe_, node, weights.dim(channel_axis(node))));
    return layer;
  }

 private:
  /// The layer alone, as the original has it.
  ir::Graph alone(const ir::Node& node) const {
    return ir::extract(original_, {original_.find_value(node.input(0)->name)},
                       {original_.find_value(key_of(node))});
  }

  Result<RescaledLayer> searched(const ir::Node& node) {
    RescaledLayer layer{.key = key_of(node), .loss = {}, .changed = 0, .refused = {}};
    const ir::Graph block = alone(node);
    ReconstructionTask task;
    task.block = &block, task.samples = walk_.samples();
    NARROW_TRY(runtime::Session session, runtime::Session::create(block, pool_));
    std::vector<Tensor> inputs, outputs;
    for (int64_t b = 0; b < walk_.batches(); ++b) {
      inputs.push_back(rounding_.read_by(node, 0, walk_.quantized_input(b)));
      NARROW_TRY(TensorMap result, session.run({{node.input(0)->name, walk_.original_input(b)}}));
      outputs.push_back(std::move(result.begin()->second));
    }
    task.inputs[node.input(0)->name] = joined(inputs);
    task.outputs[block.outputs().front().name] = joined(outputs);
    task.layers.push_back(start_of(node, recipe_));
    auto found = search_scales(task, options_.search, pool_);
    if (!found.ok() &&
        (found.error().code == Code::unsupported || found.error().code == Code::invalid_argument)) {
      layer.refused = found.error().message();
      return layer;
    }
    if (!found.ok()) return found.error();
    layer.loss = found->loss, layer.changed = found->changed;
    store(found->layer, recipe_);
    fit_bias_again(node);
    correct_means(node);
    return layer;
  }

  /// The bias takes back what the new codes do to the means of results.
  void correct_means(const ir::Node& node) {
    LayerWeights weights(node, recipe_);
    const HeavyShape& shape = weights.shape();
    if (!takes_bias(node, shape.groups * shape.n)) return;
    const std::vector<Moments> moments = collect_moments(walk_, rounding_, node, false, *pool_);
    RoundingProblem size;
    size.k = shape.k, size.n = shape.n;
    std::vector<float>& correction = recipe_.bias_corrections[key_of(node)];
    correction.clear();
    for (int64_t g = 0; g < shape.groups; ++g) {
      const std::vector<float> shift = mean_shift(moments[static_cast<size_t>(g)], matrix_of(node, g),
                                                  values_of(size, weights.grid(g), weights.stored(g)));
      correction.insert(correction.end(), shift.begin(), shift.end());
    }
  }

  /// Smaller scales of weights make for larger codes of biases.
  void fit_bias_again(const ir::Node& node) {
    const auto weights = recipe_.weights.find(key_of(node));
    const auto stored = recipe_.activations.find(node.input(0)->name);
    if (weights == recipe_.weights.end() || stored == recipe_.activations.end()) return;
    const auto bias = corrected_bias(recipe_, node, std::ssize(weights->second.scale));
    if (bias && fit_bias(*bias, stored->second.scale[0], weights->second) > 0)
      recipe_.codes[key_of(node)] = nearest_codes(node, recipe_);
  }

  const ir::Graph& original_;  // its batch is not bound
  LayerWalk& walk_;
  const FakeQuantize& rounding_;
  Recipe& recipe_;
  const SequentialScaleOptions& options_;
  const std::shared_ptr<ThreadPool>& pool_;
};

}  // namespace

Result<std::vector<RescaledLayer>> search_scales_sequentially(const ir::Graph& graph, Recipe& recipe,
                                                              const data::Dataset& dataset,
                                                              const std::shared_ptr<ThreadPool>& pool,
                                                              const SequentialScaleOptions& options,
                                                              const Progress& progress) {
  Recipe better = recipe;
  const std::set<std::string> layers = stored_layers(graph, recipe);
  FakeQuantize rounding(graph, better);
  NARROW_TRY(LayerWalk walk, LayerWalk::create(graph, layers, rounding, dataset, pool, options.walk));
  Searcher searcher(graph, walk, rounding, better, options, pool);
  std::vector<RescaledLayer> done;
  const auto stages = static_cast<int64_t>(walk.stages().size());
  for (int64_t s = 0; s < stages; ++s) {
    report(progress, "search scales", s, stages);
    NARROW_DO(walk.advance(static_cast<size_t>(s)));
    for (const ir::Node* node : walk.stages()[static_cast<size_t>(s)].nodes) {
      NARROW_TRY(RescaledLayer layer, searcher.search(*node));
      done.push_back(std::move(layer));
    }
  }
  report(progress, "search scales", stages, stages);
  recipe = std::move(better);
  return done;
}

}  // namespace narrow::quant
