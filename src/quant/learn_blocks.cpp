#include "quant/learn_blocks.h"

#include <algorithm>

#include "ir/extract.h"
#include "ir/schema.h"
#include "quant/apply_steps.h"
#include "quant/layer_start.h"
#include "quant/layer_weights.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// Multiply-adds of a heavy node, for a bar that moves evenly.
int64_t work_of(const ir::Node& node) {
  const Shape& result = node.output()->type.shape();
  const Tensor& weights = weights_of(node)->constant();
  const int64_t channels = weights.dim(channel_axis(node));
  return elements_of(result) * (weights.elements() / channels);
}

class Learner {
 public:
  Learner(const ir::Graph& original, BlockWalk& walk, const FakeQuantize& rounding, Recipe& recipe,
          const LearnOptions& options, const std::shared_ptr<ThreadPool>& pool, const Progress& progress)
      : original_(original),
        walk_(walk),
        rounding_(rounding),
        recipe_(recipe),
        options_(options),
        pool_(pool),
        progress_(progress) {
    for (const Block& block : walk.blocks()) work_ += work(block);
  }

  Result<LearnedBlock> learn(size_t index) {
    const Block& block = walk_.blocks()[index];
    NARROW_DO(walk_.enter(index));
    NARROW_TRY(LearnedBlock learned, learn(block));
    done_ += work(block);
    report(progress_, "learn rounding", done_, work_);
    for (const ir::Node* node : block.layers)
      walk_.set_parameters(key_of(*node), LayerWeights(*node, recipe_).real(), bias_of(*node));
    NARROW_DO(walk_.leave(index));
    return learned;
  }

 private:
  static int64_t work(const Block& block) {
    int64_t sum = 0;
    for (const ir::Node* node : block.layers) sum += work_of(*node);
    return sum;
  }

  std::optional<Tensor> bias_of(const ir::Node& node) const {
    const Tensor& weights = weights_of(node)->constant();
    return corrected_bias(recipe_, node, weights.dim(channel_axis(node)));
  }

  /// The block with the original weights, the biases that go with the rounded ones, and its data rounded as
  /// they will be.
  Result<ir::Graph> block_graph(const Block& block) const {
    const auto in_original = [&](const std::vector<const ir::Value*>& values) {
      std::vector<const ir::Value*> mapped;
      for (const ir::Value* value : values) mapped.push_back(original_.find_value(value->name));
      return mapped;
    };
    ir::Graph graph = ir::extract(original_, in_original(block.part.inputs), in_original(block.part.outputs));
    for (const ir::Node* node : block.layers)
      if (auto bias = bias_of(*node))
        graph.set_input(graph.find_value(key_of(*node))->producer(), 2,
                        graph.add_constant(key_of(*node) + "_rounded_bias", std::move(*bias)));
    rounding_.insert(graph);
    NARROW_DO(graph.sort());
    NARROW_DO(ir::infer_types(graph));
    return graph;
  }

  Result<LearnedBlock> learn(const Block& block) {
    LearnedBlock learned;
    for (const ir::Node* node : block.layers) learned.layers.push_back(key_of(*node));
    NARROW_TRY(const ir::Graph graph, block_graph(block));
    ReconstructionTask task;
    task.block = &graph, task.samples = walk_.samples();
    for (const ir::Value* value : block.part.inputs) {
      NARROW_TRY(task.inputs[value->name], walk_.input(value));
    }
    for (const ir::Value* value : block.part.outputs) {
      NARROW_TRY(task.outputs[value->name], walk_.output(value));
    }
    for (const ir::Node* node : block.layers) task.layers.push_back(start_of(*node, recipe_));
    const int64_t work_here = work(block);
    const auto found = learn_rounding(task, options_.rounding, pool_,
                                      [&](std::string_view step, int64_t done, int64_t total) {
                                        report(progress_, step, done_ + work_here * done / total, work_);
                                      });
    if (!found.ok() &&
        (found.error().code == Code::unsupported || found.error().code == Code::invalid_argument)) {
      learned.refused = found.error().message();
      return learned;
    }
    if (!found.ok()) return found.error();
    for (const LayerStart& layer : found->layers) store(layer, recipe_);
    learned.before = found->held_out.before, learned.after = found->held_out.after;
    learned.weights = found->weights, learned.changed = found->changed;
    return learned;
  }

  const ir::Graph& original_;  // its batch is not bound: steps take as many samples as they like
  BlockWalk& walk_;
  const FakeQuantize& rounding_;
  Recipe& recipe_;
  const LearnOptions& options_;
  const std::shared_ptr<ThreadPool>& pool_;
  const Progress& progress_;
  int64_t work_ = 0, done_ = 0;
};

}  // namespace

Result<std::vector<LearnedBlock>> learn_blocks(const ir::Graph& graph, Recipe& recipe,
                                               const data::Dataset& dataset,
                                               const std::shared_ptr<ThreadPool>& pool,
                                               const LearnOptions& options, const Progress& progress) {
  Recipe better = recipe;
  const std::set<std::string> layers = stored_layers(graph, recipe);
  FakeQuantize rounding(graph, better);
  NARROW_TRY(BlockWalk walk, BlockWalk::create(graph, layers, rounding, dataset, pool, options.blocks));
  Learner learner(graph, walk, rounding, better, options, pool, progress);
  std::vector<LearnedBlock> done;
  for (size_t b = 0; b < walk.blocks().size(); ++b) {
    NARROW_TRY(LearnedBlock block, learner.learn(b));
    done.push_back(std::move(block));
  }
  recipe = std::move(better);
  return done;
}

}  // namespace narrow::quant
