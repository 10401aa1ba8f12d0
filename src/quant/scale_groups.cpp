#include "quant/scale_groups.h"

#include <algorithm>
#include <map>
#include <utility>

#include "passes/match.h"
#include "quant/factor_flow.h"
#include "quant/regions.h"

namespace narrow::quant {
namespace {

using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;

/// Groups and numbers factors: those that lie in one value belong together.
class Assembly {
 public:
  Assembly(const Graph& graph, const FactorFlow& flow) : flow_(flow) {
    std::vector<Value*> followed;
    for (Value* input : graph.inputs()) followed.push_back(input);
    for (const Node* node : graph.nodes())
      followed.insert(followed.end(), node->outputs().begin(), node->outputs().end());
    for (const Value* value : followed) join(value);
    for (const FlowLayer& layer : flow.producers()) place(layer, &ScaleGroup::producers);
    for (const FlowLayer& layer : flow.consumers()) place(layer, &ScaleGroup::consumers);
    for (Value* value : followed)
      for (const int group : groups_in(flow.of(value).ids))
        groups_[static_cast<size_t>(group)].values.push_back({value, local(flow.of(value), group)});
    for (const FlowSite& site : flow.shifts())
      for (const int group : groups_in(site.ids.ids))
        groups_[static_cast<size_t>(group)].shifts.push_back({site.node, site.input, local(site.ids, group)});
    for (const FlowSite& site : flow.clips())
      for (const int group : groups_in(site.ids.ids))
        groups_[static_cast<size_t>(group)].clips.push_back({site.node, bound(site.node->input(1), -1),
                                                             bound(site.node->input(2), 1),
                                                             local(site.ids, group)});
  }

  std::vector<ScaleGroup> take() {
    std::erase_if(groups_, [](const ScaleGroup& group) { return group.consumers.empty(); });
    return std::move(groups_);
  }

 private:
  static double bound(const Value* value, double sign) {
    return value == nullptr ? sign * HUGE_VAL : *passes::scalar_constant(value);
  }

  void join(const Value* value) {
    int first = 0;
    for (const int id : flow_.of(value).ids) {
      const int root = flow_.find(id);
      if (root == 0) continue;
      if (first == 0) first = root;
      together_.unite(member(first), member(root));
    }
  }

  // Numbers of flow_ into numbers of together_, made on demand.
  int member(int root) {
    const auto [it, added] = members_.try_emplace(root, 0);
    if (added) it->second = together_.fresh();
    return it->second;
  }

  /// Group and number of a factor; {-1, kFixed} for the number one.
  std::pair<int, int> placed(int id) {
    const int root = flow_.find(id);
    if (root == 0) return {-1, kFixed};
    const int set = together_.find(member(root));
    const auto [group, fresh_group] = group_of_.try_emplace(set, static_cast<int>(groups_.size()));
    if (fresh_group) groups_.emplace_back();
    const auto [number, fresh] =
        number_of_.try_emplace(root, groups_[static_cast<size_t>(group->second)].factors);
    if (fresh) ++groups_[static_cast<size_t>(group->second)].factors;
    return {group->second, number->second};
  }

  std::vector<int> groups_in(const std::vector<int>& ids) {
    std::vector<int> list;
    for (const int id : ids)
      if (const int group = placed(id).first;
          group >= 0 && std::find(list.begin(), list.end(), group) == list.end())
        list.push_back(group);
    return list;
  }

  std::vector<int> local(const std::vector<int>& ids, int group) {
    std::vector<int> list;
    for (const int id : ids) {
      const auto [where, number] = placed(id);
      list.push_back(where == group ? number : kFixed);
    }
    return list;
  }
  ChannelIds local(const ChannelIds& ids, int group) { return {ids.dims, local(ids.ids, group)}; }

  void place(const FlowLayer& layer, std::vector<ScaledLayer> ScaleGroup::*list) {
    for (const int group : groups_in(layer.ids))
      (groups_[static_cast<size_t>(group)].*list).push_back({layer.node, local(layer.ids, group)});
  }

  const FactorFlow& flow_;
  UnionFind together_;
  std::map<int, int> members_, group_of_, number_of_;
  std::vector<ScaleGroup> groups_;
};

/// Writes new numbers in the place of a node's constant input.
void replace(Graph& graph, Node* node, int input, Tensor tensor) {
  Value* old = node->input(input);
  if (graph.readers(old) == 1)
    graph.set_constant(old, std::move(tensor));
  else
    graph.set_input(node, input, graph.add_constant(old->name, std::move(tensor)));
}

/// Multiplies (or divides) each element of a constant by factors[ids], ids broadcast over it.
void scale_constant(Graph& graph, Node* node, int input, const ChannelIds& ids,
                    const std::vector<double>& factors, bool multiply) {
  Tensor tensor = node->input(input)->constant().clone();
  Shape shape = tensor.shape();
  shape.insert(shape.begin(), static_cast<size_t>(ids.rank() - tensor.rank()), 1);
  const auto all = expanded(ids, shape);
  NARROW_CHECK(all);
  const auto data = tensor.mutable_data<float>();
  for (size_t i = 0; i < data.size(); ++i) {
    const int id = all->ids[i];
    if (id == kFixed) continue;
    const double factor = factors[static_cast<size_t>(id)], x = static_cast<double>(data[i]);
    data[i] = static_cast<float>(multiply ? x * factor : x / factor);
  }
  replace(graph, node, input, std::move(tensor));
}

void scale_weights(Graph& graph, const ScaledLayer& layer, const std::vector<double>& factors,
                   bool consumer) {
  const WeightView view = weight_view(*layer.node);
  Tensor tensor = layer.node->input(1)->constant().clone();
  const auto data = tensor.mutable_data<float>();
  for (int64_t o = 0; o < view.outputs; ++o)
    for (int64_t i = 0; i < view.inputs; ++i) {
      const int64_t channel = consumer ? view.group_of(o) * view.inputs + i : o;
      const int id = layer.factors[static_cast<size_t>(channel)];
      if (id == kFixed) continue;
      const double factor = factors[static_cast<size_t>(id)];
      float* w = data.data() + o * view.output_stride + i * view.input_stride;
      for (int64_t p = 0; p < view.positions; ++p)
        w[p] = static_cast<float>(consumer ? static_cast<double>(w[p]) * factor
                                           : static_cast<double>(w[p]) / factor);
    }
  replace(graph, layer.node, 1, std::move(tensor));
}

/// The bias of a Conv or Gemm that makes scaled channels.
void scale_bias(Graph& graph, const ScaledLayer& layer, const std::vector<double>& factors) {
  Node* node = layer.node;
  if (node->op() == Op::MatMul || node->input(2) == nullptr) return;
  const auto channels = static_cast<int64_t>(layer.factors.size());
  auto bias = *passes::per_channel(node->input(2), 2, 1, channels);
  for (size_t c = 0; c < bias.size(); ++c)
    if (layer.factors[c] != kFixed)
      bias[c] =
          static_cast<float>(static_cast<double>(bias[c]) / factors[static_cast<size_t>(layer.factors[c])]);
  replace(graph, node, 2, Tensor::of(Shape{channels}, bias));
}

/// Where the numbers of a Mul or Div by constants lie: along the axis on which they vary.
int constant_input(const Node& node) { return node.input(1)->is_constant() ? 1 : 0; }

void scale_vector(Graph& graph, const ScaledLayer& layer, int input, const std::vector<double>& factors,
                  bool multiply) {
  const Shape& shape = layer.node->input(input)->constant().shape();
  ChannelIds ids{shape, layer.factors};
  NARROW_CHECK(elements_of(shape) == std::ssize(ids.ids));
  scale_constant(graph, layer.node, input, ids, factors, multiply);
}

void scale_layer(Graph& graph, const ScaledLayer& layer, const std::vector<double>& factors, bool consumer) {
  Node* node = layer.node;
  if (has_weight_view(*node)) {
    scale_weights(graph, layer, factors, consumer);
    if (!consumer) scale_bias(graph, layer, factors);
  } else if (node->op() == Op::Mul || node->op() == Op::Div) {
    scale_vector(graph, layer, constant_input(*node), factors, consumer == (node->op() == Op::Mul));
  } else {  // a normalisation: scale and shift
    scale_vector(graph, layer, 1, factors, false);
    if (node->input(2) != nullptr) scale_vector(graph, layer, 2, factors, false);
  }
}

}  // namespace

ScaleGroups find_scale_groups(const Graph& graph) {
  const FactorFlow flow(graph);
  ScaleGroups found{Assembly(graph, flow).take(), {}};
  for (const FlowBarrier& barrier : flow.barriers())
    found.barriers.push_back({barrier.value->name, barrier.reason});
  return found;
}

bool only_products_read(const ScaleGroup& group) {
  return group.clips.empty() &&
         std::all_of(group.consumers.begin(), group.consumers.end(), [](const ScaledLayer& layer) {
           const ir::Op op = layer.node->op();
           return (op == ir::Op::MatMul || op == ir::Op::Gemm) && is_heavy(*layer.node);
         });
}

void rescale(Graph& graph, const ScaleGroup& group, const std::vector<double>& factors) {
  NARROW_CHECK(std::ssize(factors) == group.factors);
  for (const ScaledLayer& layer : group.producers) scale_layer(graph, layer, factors, false);
  for (const ScaledLayer& layer : group.consumers) scale_layer(graph, layer, factors, true);
  for (const ScaledShift& shift : group.shifts)
    scale_constant(graph, shift.node, shift.input, shift.factors, factors, false);
}

bool has_weight_view(const Node& node) {
  return node.op() == Op::Conv || node.op() == Op::Gemm || node.op() == Op::MatMul;
}

WeightView weight_view(const Node& node) {
  const Tensor& w = node.input(1)->constant();
  const auto data = w.data<float>();
  if (node.op() == Op::Conv) {
    const int64_t positions = w.dim(0) * w.dim(1) > 0 ? w.elements() / (w.dim(0) * w.dim(1)) : 0;
    return {w.dim(0), w.dim(1), positions, node.int_attr("group", 1), w.dim(1) * positions, positions, data};
  }
  if (node.op() == Op::Gemm && node.int_attr("transB", 0) != 0)
    return {w.dim(0), w.dim(1), 1, 1, w.dim(1), 1, data};
  return {w.dim(1), w.dim(0), 1, 1, 1, w.dim(1), data};
}

}  // namespace narrow::quant
