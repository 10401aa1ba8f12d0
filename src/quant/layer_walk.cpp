#include "quant/layer_walk.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ir/extract.h"
#include "ir/schema.h"
#include "passes/pass.h"
#include "quant/regions.h"
#include "runtime/reference/reference.h"
#include "runtime/session.h"

namespace narrow::quant {
namespace {

Error not_possible(std::string subject, std::string expected, std::string got) {
  return {.code = Code::unsupported,
          .subject = std::move(subject),
          .expected = std::move(expected),
          .got = std::move(got)};
}

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

int64_t bytes_of_value(const ir::Value* value) {
  return elements_of(value->type.shape()) * std::max<int64_t>(1, bytes_of(value->type.dtype));
}

}  // namespace

Result<ir::Graph> LayerWalk::bound(const ir::Graph& graph) const {
  ir::Graph copy = graph.clone();
  NARROW_DO(ir::bind_shapes(copy, shapes_));
  const passes::Pass steps[] = {*passes::find_pass("fold_constants"), *passes::find_pass("resolve_auto_pad")};
  NARROW_DO(passes::run_passes(copy, steps, {.evaluate = runtime::reference::evaluate}));
  NARROW_DO(copy.sort());
  return copy;
}

Status LayerWalk::bind(const ir::Graph& graph, const data::Dataset& dataset, const WalkOptions& options) {
  batch_ = dataset.batch_of(std::min(options.batch, dataset.size()));
  NARROW_TRY(const data::Batch first, dataset.read(0, batch_, *pool_));
  for (const auto& [name, tensor] : first.inputs) shapes_[name] = tensor.shape();
  NARROW_TRY(graph_, bound(graph));
  NARROW_TRY(student_, bound(options.start != nullptr ? *options.start : graph));
  return {};
}

void LayerWalk::find_stages(const std::set<std::string>& layers) {
  std::unordered_map<const ir::Value*, size_t> stage_of;
  for (const ir::Node* node : graph_.nodes()) {
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
  for (const ir::Node* node : graph_.nodes()) {
    while (stage < stages_.size() && node == stages_[stage].nodes.front()) ++stage;
    if (needed.contains(node)) segment_of[node] = stage;
  }
  segments_.resize(stages_.size());
  std::unordered_set<const ir::Value*> stage_inputs;
  for (const Stage& s : stages_) stage_inputs.insert(s.input);
  for (const ir::Node* node : graph_.nodes()) {
    const auto at = segment_of.find(node);
    if (at == segment_of.end() || at->second >= segments_.size()) continue;
    Segment& segment = segments_[at->second];
    for (const ir::Value* input : node->inputs()) {
      if (input == nullptr || input->is_constant()) continue;
      const bool inside = input->producer() != nullptr && segment_of.at(input->producer()) == at->second;
      if (!inside && std::find(segment.inputs.begin(), segment.inputs.end(), input) == segment.inputs.end())
        segment.inputs.push_back(input);
    }
    for (const ir::Value* output : node->outputs()) {
      const bool read_later =
          std::any_of(output->uses().begin(), output->uses().end(), [&](const ir::Use& use) {
            const auto reader = segment_of.find(use.node);
            return reader != segment_of.end() && reader->second > at->second;
          });
      if (!read_later && !stage_inputs.contains(output)) continue;
      if (!output->type.is_static())
        return not_possible("value '" + output->name + "'", "a shape that follows from the inputs' shapes",
                            to_string(output->type));
      segment.outputs.push_back(output);
    }
  }
  return {};
}

/// The most that is kept at any cut, of one model and batch.
int64_t LayerWalk::bytes_at_cuts() const {
  std::map<const ir::Value*, std::pair<size_t, size_t>> life;  // segments: made, last read
  for (const ir::Value* input : graph_.inputs()) life[input] = {0, 0};
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

Status LayerWalk::read(const data::Dataset& dataset, const WalkOptions& options) {
  const int64_t available = std::max<int64_t>(1, dataset.size() / batch_),
                fit = std::max<int64_t>(1, options.memory / (2 * bytes_at_cuts())),
                wanted = std::min({available, fit, std::max<int64_t>(1, options.samples / batch_)});
  for (int64_t b = 0; b < wanted; ++b) {
    NARROW_TRY(data::Batch batch, dataset.read(b * available / wanted * batch_, batch_, *pool_));
    const bool alike = std::all_of(batch.inputs.begin(), batch.inputs.end(), [&](const auto& input) {
      return shapes_.at(input.first) == input.second.shape();
    });
    if (!alike) continue;
    samples_ += batch.count;
    original_.push_back(batch.inputs);
  }
  quantized_ = original_;
  return {};
}

Result<LayerWalk> LayerWalk::create(const ir::Graph& graph, const std::set<std::string>& layers,
                                    const FakeQuantize& rounding, const data::Dataset& dataset,
                                    std::shared_ptr<ThreadPool> pool, const WalkOptions& options) {
  if (!dataset.info().states.empty())
    return not_possible("calibration data", "samples that stand alone", "states carried from run to run");
  LayerWalk walk(rounding, std::move(pool));
  NARROW_DO(walk.bind(graph, dataset, options));
  walk.find_stages(layers);
  NARROW_DO(walk.cut());
  NARROW_DO(walk.read(dataset, options));
  return walk;
}

Status LayerWalk::run_segment(const Segment& segment, const ir::Graph& graph, const FakeQuantize* rounding,
                              std::vector<TensorMap>& values) {
  if (segment.outputs.empty()) return {};
  const auto in = [&](const std::vector<const ir::Value*>& list) {
    std::vector<const ir::Value*> mapped;
    for (const ir::Value* value : list) mapped.push_back(graph.find_value(value->name));
    return mapped;
  };
  ir::Graph part = ir::extract(graph, in(segment.inputs), in(segment.outputs));
  if (rounding != nullptr) {
    rounding->insert(part);
    NARROW_DO(part.sort());
    NARROW_DO(ir::infer_types(part));
  }
  NARROW_TRY(runtime::Session session, runtime::Session::create(part, pool_));
  for (TensorMap& batch : values) {
    TensorMap inputs;
    for (const ir::Value* value : segment.inputs) inputs[value->name] = batch.at(value->name);
    NARROW_TRY(TensorMap outputs, session.run(inputs));
    for (auto& [name, tensor] : outputs) batch[name] = std::move(tensor);
  }
  return {};
}

/// Values that no later segment and no stage from `stage` on reads.
void LayerWalk::forget(size_t stage) {
  std::unordered_set<std::string> needed;
  for (size_t s = stage; s < segments_.size(); ++s) {
    needed.insert(stages_[s].input->name);
    if (s == stage) continue;
    for (const ir::Value* value : segments_[s].inputs) needed.insert(value->name);
  }
  for (std::vector<TensorMap>* values : {&original_, &quantized_})
    for (TensorMap& batch : *values)
      std::erase_if(batch, [&](const auto& entry) { return !needed.contains(entry.first); });
}

Status LayerWalk::advance(size_t index) {
  NARROW_CHECK(index < segments_.size());
  NARROW_DO(run_segment(segments_[index], graph_, nullptr, original_));
  NARROW_DO(run_segment(segments_[index], student_, rounding_, quantized_));
  forget(index);
  reached_ = index;
  return {};
}

const Tensor* LayerWalk::find(const std::vector<TensorMap>& values, const ir::Value* value, int64_t batch) {
  const TensorMap& known = values[static_cast<size_t>(batch)];
  const auto it = known.find(value->name);
  return it == known.end() ? nullptr : &it->second;
}

void LayerWalk::set_parameters(const std::string& key, Tensor weights, std::optional<Tensor> bias) {
  ir::Node* node = student_.find_value(key)->producer();
  student_.set_input(node, 1, student_.add_constant(node->input(1)->name + "_rounded", std::move(weights)));
  if (bias) student_.set_input(node, 2, student_.add_constant(key + "_rounded_bias", std::move(*bias)));
}

}  // namespace narrow::quant
