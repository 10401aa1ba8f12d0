#include "quant/block_walk.h"

#include <algorithm>

#include "quant/regions.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Value;

/// Bytes of the values that cross each position: made before nodes[i], read by it or later.
std::vector<int64_t> bytes_across(const ir::Graph& graph) {
  const std::vector<Node*> nodes = graph.nodes();
  std::unordered_map<const Node*, size_t> place;
  for (size_t i = 0; i < nodes.size(); ++i) place[nodes[i]] = i;
  std::vector<int64_t> change(nodes.size() + 2, 0);
  const auto live = [&](const Value* value, size_t from) {
    size_t last = 0;
    for (const ir::Use& use : value->uses())
      if (const auto at = place.find(use.node); at != place.end()) last = std::max(last, at->second + 1);
    if (last <= from || !value->type.is_static()) return;
    change[from] += bytes_of_value(value), change[last] -= bytes_of_value(value);
  };
  for (const Value* input : graph.inputs()) live(input, 0);
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const Value* output : nodes[i]->outputs()) live(output, i + 1);
  for (size_t i = 1; i < change.size(); ++i) change[i] += change[i - 1];
  return change;
}

/// Positions of the first nodes of blocks but the first: before heavy nodes, at most `most` of them in each,
/// where the fewest bytes cross (the latest of those).
std::vector<size_t> cuts(const std::vector<size_t>& heavy, const std::vector<int64_t>& across, int64_t most) {
  std::vector<size_t> found;
  for (size_t first = 0; first + 1 < heavy.size();) {
    const size_t end = std::min(heavy.size(), first + static_cast<size_t>(most) + 1);
    if (end == heavy.size() && heavy.size() - first <= static_cast<size_t>(most)) break;
    size_t best = first + 1;
    for (size_t i = first + 1; i < end; ++i)
      if (across[heavy[i]] <= across[heavy[best]]) best = i;
    found.push_back(heavy[best]);
    first = best;
  }
  return found;
}

}  // namespace

Status BlockWalk::cut(const std::set<std::string>& layers, int64_t most_layers) {
  const std::vector<Node*> nodes = graph().nodes();
  std::vector<size_t> heavy;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (!nodes[i]->outputs().empty() && is_heavy(*nodes[i]) && layers.contains(key_of(*nodes[i])))
      heavy.push_back(i);
  if (heavy.empty()) return {};
  const std::vector<size_t> starts = cuts(heavy, bytes_across(graph()), most_layers);
  blocks_.resize(starts.size() + 1);
  std::unordered_map<const Node*, size_t> part_of;
  for (size_t i = 0, block = 0, h = 0; i < nodes.size(); ++i) {
    while (block < starts.size() && starts[block] <= i) ++block;
    part_of[nodes[i]] = i <= heavy.back() ? block : blocks_.size();
    if (h < heavy.size() && heavy[h] == i) blocks_[block].layers.push_back(nodes[i]), ++h;
  }
  std::unordered_set<const Value*> wanted;
  for (const ir::GraphOutput& output : graph().outputs()) wanted.insert(output.value);
  NARROW_TRY(std::vector<GraphPart> parts, parts_of(graph(), blocks_.size(), part_of, wanted));
  for (size_t b = 0; b < blocks_.size(); ++b) blocks_[b].part = std::move(parts[b]);
  return {};
}

/// The most that is kept at any cut, of one model and batch: what a block reads and gives beside what later
/// ones read. Blocks are gathered into one tensor a value: twice that.
int64_t BlockWalk::bytes_at_cuts() const {
  std::unordered_map<const Value*, std::pair<size_t, size_t>> life;  // blocks: made, last read
  for (const Value* input : graph().inputs()) life[input] = {0, 0};
  for (size_t b = 0; b < blocks_.size(); ++b) {
    for (const Value* value : blocks_[b].part.outputs) life[value] = {b, b};
    for (const Value* value : blocks_[b].part.inputs) life.at(value).second = b;
  }
  int64_t most = 1;
  for (size_t b = 0; b < blocks_.size(); ++b) {
    int64_t bytes = 0;
    for (const auto& [value, from_to] : life)
      if (from_to.first <= b && b <= from_to.second) bytes += bytes_of_value(value);
    most = std::max(most, bytes);
  }
  return 2 * most;
}

Result<BlockWalk> BlockWalk::create(const ir::Graph& graph, const std::set<std::string>& layers,
                                    const FakeQuantize& rounding, const data::Dataset& dataset,
                                    std::shared_ptr<ThreadPool> pool, const BlockOptions& options) {
  NARROW_TRY(ModelPair pair, ModelPair::create(graph, rounding, dataset, std::move(pool), options.walk));
  BlockWalk walk(std::move(pair));
  NARROW_DO(walk.cut(layers, std::max<int64_t>(1, options.layers)));
  NARROW_DO(walk.pair_.read(dataset, options.walk, walk.bytes_at_cuts()));
  return walk;
}

Result<Tensor> BlockWalk::gathered(const Value* value, bool quantized) const {
  std::vector<Tensor> batches;
  for (int64_t b = 0; b < pair_.batches(); ++b) {
    const Tensor* tensor = quantized ? pair_.quantized(value, b) : pair_.original(value, b);
    NARROW_CHECK(tensor != nullptr);
    if (tensor->rank() == 0)
      return Error{.code = Code::unsupported,
                   .subject = "value '" + value->name + "'",
                   .expected = "samples along the first axis",
                   .got = "a scalar"};
    batches.push_back(*tensor);
  }
  return joined(batches);
}

Status BlockWalk::leave(size_t index) {
  NARROW_DO(pair_.run_quantized(blocks_[index].part));
  std::unordered_set<std::string> needed;
  for (size_t b = index + 1; b < blocks_.size(); ++b)
    for (const Value* value : blocks_[b].part.inputs) needed.insert(value->name);
  pair_.keep(needed);
  return {};
}

}  // namespace narrow::quant
