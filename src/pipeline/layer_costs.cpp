#include "pipeline/layer_costs.h"

#include <functional>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

#include "ir/schema.h"
#include "quant/regions.h"

namespace narrow::pipeline {
namespace {

bool converts(const std::string& op) {
  return op == "QuantizeLinear" || op == "DequantizeLinear" || op == "Cast" || op == "QuantizeImage";
}

int64_t elements_of(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

std::map<std::string, double> layer_times(const bench::Profile& profile,
                                          const std::vector<search::MixLayer>& layers) {
  std::map<std::string, double> times;
  if (layers.empty()) return times;
  for (const search::MixLayer& layer : layers) times[layer.node] = 0;
  std::string current = layers.front().node;
  double rows_ms = 0;  // of rows scaled for the layer to come
  for (const bench::StepProfile& step : profile.steps) {
    const bool layer = times.contains(step.choice.node);
    if (layer) current = step.choice.node, times[current] += std::exchange(rows_ms, 0);
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
  ir::Graph sized = graph.clone();
  if (!ir::bind_shapes(sized, shapes).ok()) sized = graph.clone();
  std::map<std::string, size_t> index;
  for (size_t l = 0; l < layers.size(); ++l) index[layers[l].key] = l;
  std::unordered_map<const ir::Value*, std::set<size_t>> sources;  // layers a value comes from
  std::vector<search::MixEdge> edges;
  for (const ir::Node* node : sized.nodes()) {
    std::set<size_t> from;
    for (const ir::Value* input : node->inputs())
      if (input != nullptr) from.insert(sources[input].begin(), sources[input].end());
    // A sum is stored once, as the last of its parts is; the parts of a Concat each on their own.
    if (node->op() != ir::Op::Concat && from.size() > 1) from = {*from.rbegin()};
    const auto layer = node->outputs().empty() ? index.end() : index.find(quant::key_of(*node));
    if (layer != index.end()) {
      const ir::Value* x = node->input(0);
      const double numbers = x->type.is_static() ? static_cast<double>(elements_of(x->type.shape())) : 0;
      for (const size_t l : sources[x]) edges.push_back({l, layer->second, rates.of(numbers)});
      from = {layer->second};
    }
    for (const ir::Value* output : node->outputs()) sources[output] = from;
  }
  return edges;
}

}  // namespace narrow::pipeline
