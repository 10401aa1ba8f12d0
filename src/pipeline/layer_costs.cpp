#include "pipeline/layer_costs.h"

#include <functional>
#include <numeric>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "pipeline/mix_input.h"
#include "quant/regions.h"
#include "quant/sized_graph.h"

namespace narrow::pipeline {
namespace {

bool converts(const std::string& op) {
  return op == "QuantizeLinear" || op == "DequantizeLinear" || op == "Cast" || op == "QuantizeImage";
}

int64_t elements_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

/// Layers by the name a step may have: that of a node of theirs, or of a value it makes.
class StepOwners {
 public:
  explicit StepOwners(const std::vector<search::MixLayer>& layers) {
    for (const search::MixLayer& layer : layers) by_node_[layer.node] = &layer;
    for (const search::MixLayer& layer : layers)
      for (const std::string& node : layer.nodes) by_value_[node] = &layer;
  }

  /// Null: it is no layer's.
  const search::MixLayer* find(const runtime::StepChoice& step) const {
    if (const auto layer = by_node_.find(step.node); layer != by_node_.end()) return layer->second;
    for (const std::string& value : step.outputs)
      if (const auto layer = by_value_.find(value); layer != by_value_.end()) return layer->second;
    return nullptr;
  }
  /// Of a name that a node or the value it makes has.
  const search::MixLayer* named(const std::string& name) const {
    runtime::StepChoice step;
    step.node = name, step.outputs = {name};
    return find(step);
  }

 private:
  std::map<std::string, const search::MixLayer*> by_node_, by_value_;
};

bool is_f32(const ir::Value* value) { return value != nullptr && value->type.dtype == DType::f32; }

/// Follows values from layer to layer.
class EdgeFinder {
 public:
  EdgeFinder(const std::vector<search::MixLayer>& layers, const CastRates& rates) : rates_(rates) {
    for (size_t l = 0; l < layers.size(); ++l) {
      index_[layers[l].key] = l;
      for (const std::string& node : layers[l].nodes) index_[node] = l;
      is_unit_.push_back(is_float_unit(layers[l]));
    }
  }

  void visit(const ir::Node& node) {
    if (node.outputs().empty()) return;
    const auto layer = index_.find(quant::key_of(node));
    std::set<size_t> from;
    if (layer != index_.end()) {
      for (size_t i = 0; i < node.inputs().size() && (i == 0 || is_unit_[layer->second]); ++i)
        read(node.inputs()[i], layer->second);
      from = {layer->second};
    } else {
      from = between(node);
    }
    for (const ir::Value* output : node.outputs())
      if (is_f32(output)) sources_[output] = from;
  }

  std::vector<search::MixEdge> edges() && { return std::move(edges_); }

 private:
  /// The layers that what a node between layers makes comes from. What has several parts (a sum, a gate) is
  /// stored as the last of them is, which the others are cast to; the parts of a Concat each on their own.
  std::set<size_t> between(const ir::Node& node) {
    std::set<size_t> from;
    for (const ir::Value* input : node.inputs())
      if (is_f32(input)) from.insert(sources_[input].begin(), sources_[input].end());
    if (node.op() == ir::Op::Concat || from.size() < 2) return from;
    for (const ir::Value* input : node.inputs()) read(input, *from.rbegin());
    return {*from.rbegin()};
  }

  void read(const ir::Value* value, size_t reader) {
    if (!is_f32(value)) return;
    const double numbers =
        value->type.is_static() ? static_cast<double>(elements_of(value->type.shape())) : 0;
    for (const size_t l : sources_[value]) {
      if (l == reader || !known_.insert({l, value, reader}).second) continue;
      const size_t number = values_.emplace(value, values_.size()).first->second;
      edges_.push_back({l, reader, costs(l, reader, numbers), number});
    }
  }

  /// Products in integers write what a norm or an attention reads, and these write bytes: no step of its own.
  search::CastCosts costs(size_t from, size_t reader, double numbers) const {
    search::CastCosts ms = rates_.of(numbers);
    search::CastMs& bytes = ms[static_cast<size_t>(search::Carrier::u8)];
    if (is_unit_[reader]) bytes.leave = 0;
    if (is_unit_[from]) bytes.enter = 0;
    return ms;
  }

  const CastRates& rates_;
  std::map<std::string, size_t> index_;
  std::vector<bool> is_unit_;
  std::unordered_map<const ir::Value*, std::set<size_t>> sources_;  // layers a value comes from
  std::unordered_map<const ir::Value*, size_t> values_;
  std::set<std::tuple<size_t, const ir::Value*, size_t>> known_;
  std::vector<search::MixEdge> edges_;
};

}  // namespace

std::map<std::string, double> layer_times(const bench::Profile& profile,
                                          const std::vector<search::MixLayer>& layers) {
  std::map<std::string, double> times;
  if (layers.empty()) return times;
  for (const search::MixLayer& layer : layers) times[layer.node] = 0;
  const StepOwners owners(layers);
  std::string current = layers.front().node;
  double rows_ms = 0;  // of rows scaled for the layer to come
  for (const bench::StepProfile& step : profile.steps) {
    for (const auto& [name, share] : step.choice.merged)
      if (const search::MixLayer* layer = owners.named(name))
        current = layer->node, times[current] += share * step.ms;
    if (!step.choice.merged.empty()) continue;
    if (const search::MixLayer* layer = owners.find(step.choice))
      current = layer->node, times[current] += std::exchange(rows_ms, 0);
    if (step.choice.op == "QuantizeRows")
      rows_ms += step.ms;
    else if (!converts(step.choice.op))
      times[current] += step.ms;
  }
  times[current] += rows_ms;
  return times;
}

std::vector<search::MixEdge> cast_edges(const ir::Graph& graph, const std::vector<search::MixLayer>& layers,
                                        const std::map<std::string, Shape>& shapes, const CastRates& rates) {
  const ir::Graph sized = quant::sized_graph(graph, shapes);
  EdgeFinder finder(layers, rates);
  for (const ir::Node* node : sized.nodes()) finder.visit(*node);
  return std::move(finder).edges();
}

}  // namespace narrow::pipeline
