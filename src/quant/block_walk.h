// Cuts a model into blocks of a few heavy layers, and hands out block after block what it reads in the
// quantized model so far and what it gives in the original.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "quant/model_pair.h"

namespace narrow::quant {

struct BlockOptions {
  WalkOptions walk;
  int64_t layers = 1;  // heavy layers of a block, at most
};

/// Values of BlockWalk::graph().
struct Block {
  GraphPart part;
  std::vector<const ir::Node*> layers;
};

class BlockWalk {
 public:
  /// `layers`: keys of the heavy nodes to visit. A block begins at a heavy node and ends where the fewest
  /// bytes cross to the next, the last one behind its last heavy node. Errors: those of ModelPair and
  /// parts_of().
  static Result<BlockWalk> create(const ir::Graph& graph, const std::set<std::string>& layers,
                                  const FakeQuantize& rounding, const data::Dataset& dataset,
                                  std::shared_ptr<ThreadPool> pool, const BlockOptions& options);

  const ir::Graph& graph() const { return pair_.graph(); }
  const std::vector<Block>& blocks() const { return blocks_; }
  int64_t samples() const { return pair_.samples(); }

  /// Blocks are taken in order: enter, read inputs and outputs, set parameters of its layers, leave.
  Status enter(size_t index) { return pair_.run_original(blocks_[index].part); }
  /// All samples along axis 0. `value`: an input of the block as the quantized model has it, before it is
  /// rounded for a reader; an output of the block as the original has it.
  Result<Tensor> input(const ir::Value* value) const { return gathered(value, true); }
  Result<Tensor> output(const ir::Value* value) const { return gathered(value, false); }
  void set_parameters(const std::string& key, Tensor weights, std::optional<Tensor> bias) {
    pair_.set_parameters(key, std::move(weights), std::move(bias));
  }
  Status leave(size_t index);

 private:
  explicit BlockWalk(ModelPair pair) : pair_(std::move(pair)) {}
  Status cut(const std::set<std::string>& layers, int64_t most_layers);
  int64_t bytes_at_cuts() const;
  Result<Tensor> gathered(const ir::Value* value, bool quantized) const;

  ModelPair pair_;
  std::vector<Block> blocks_;
};

}  // namespace narrow::quant
