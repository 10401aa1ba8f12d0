#include "quant/layer_walk.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "quant/regions.h"

namespace narrow::quant {
namespace {

/// Nodes that the inputs of stages depend on.
std::unordered_set<const ir::Node*> ancestors(const std::vector<Stage>& stages) {
  std::unordered_set<const ir::Node*> found;
  std::vector<const ir::Value*> open;
  for (const Stage& stage : stages) open.push_back(stage.input);
  while (!open.empty()) {
    const ir::Value* value = open.back();
    open.pop_back();
    if (value == nullptr || value->producer() == nullptr || !found.insert(value->producer()).second) continue;
    open.insert(open.end(), value->producer()->inputs().begin(), value->producer()->inputs().end());
  }
  return found;
}

}  // namespace

void LayerWalk::find_stages(const std::set<std::string>& layers) {
  std::unordered_map<const ir::Value*, size_t> stage_of;
  for (const ir::Node* node : pair_.graph().nodes()) {
    if (node->outputs().empty() || !layers.contains(key_of(*node)) || !is_heavy(*node)) continue;
    const auto [it, fresh] = stage_of.try_emplace(node->input(0), stages_.size());
    if (fresh) stages_.push_back({node->input(0), {}});
    stages_[it->second].nodes.push_back(node);
  }
}

/// Segment s holds what is needed between the first node of stage s - 1 and that of stage s.
Status LayerWalk::cut() {
  const auto needed = ancestors(stages_);
  std::unordered_map<const ir::Node*, size_t> segment_of;
  size_t stage = 0;
  for (const ir::Node* node : pair_.graph().nodes()) {
    while (stage < stages_.size() && node == stages_[stage].nodes.front()) ++stage;
    if (needed.contains(node)) segment_of[node] = stage;
  }
  std::unordered_set<const ir::Value*> stage_inputs;
  for (const Stage& s : stages_) stage_inputs.insert(s.input);
  NARROW_TRY(segments_, parts_of(pair_.graph(), stages_.size(), segment_of, stage_inputs));
  return {};
}

/// The most that is kept at any cut, of one model and batch.
int64_t LayerWalk::bytes_at_cuts() const {
  std::map<const ir::Value*, std::pair<size_t, size_t>> life;  // segments: made, last read
  for (const ir::Value* input : pair_.graph().inputs()) life[input] = {0, 0};
  for (size_t s = 0; s < segments_.size(); ++s) {
    for (const ir::Value* value : segments_[s].outputs) life[value] = {s, s};
    for (const ir::Value* value : segments_[s].inputs) life.at(value).second = s;
    life.at(stages_[s].input).second = s;
  }
  int64_t most = 1;
  for (size_t s = 0; s < segments_.size(); ++s) {
    int64_t bytes = 0;
    for (const auto& [value, from_to] : life)
      if (from_to.first <= s && s <= from_to.second) bytes += bytes_of_value(value);
    most = std::max(most, bytes);
  }
  return most;
}

Result<LayerWalk> LayerWalk::create(const ir::Graph& graph, const std::set<std::string>& layers,
                                    const FakeQuantize& rounding, const data::Dataset& dataset,
                                    std::shared_ptr<ThreadPool> pool, const WalkOptions& options) {
  NARROW_TRY(ModelPair pair, ModelPair::create(graph, rounding, dataset, std::move(pool), options));
  LayerWalk walk(std::move(pair));
  walk.find_stages(layers);
  NARROW_DO(walk.cut());
  NARROW_DO(walk.pair_.read(dataset, options, walk.bytes_at_cuts()));
  return walk;
}

/// Values that no later segment and no stage from `stage` on reads.
void LayerWalk::forget(size_t stage) {
  std::unordered_set<std::string> needed;
  for (size_t s = stage; s < segments_.size(); ++s) {
    needed.insert(stages_[s].input->name);
    if (s == stage) continue;
    for (const ir::Value* value : segments_[s].inputs) needed.insert(value->name);
  }
  pair_.keep(needed);
}

Status LayerWalk::advance(size_t index) {
  NARROW_CHECK(index < segments_.size());
  NARROW_DO(pair_.run_original(segments_[index]));
  NARROW_DO(pair_.run_quantized(segments_[index]));
  forget(index);
  reached_ = index;
  return {};
}

}  // namespace narrow::quant
