// Reshapes, transposes and picks that only permute (or select) channels become Gather(x, indices, axis = 1):
//   [N,g*c,H,W] -> [N,g,c,H,W] -> Transpose(0,2,1,3,4) -> [N,c*g,H,W]              ShuffleNet
//   [1,2c,H,W] -> [c,2,H*W] -> Transpose(1,0,2) -> [2,1,c,H,W] -> Gather(0 or 1)   FastestDet: every other
//   channel
//
// Recognised by what they do, not by their form: the chain moves an index tensor, and the result must be
// y[n,c,h,w] = x[n, p(c), h, w] for one p. Needs static shapes.
#include <algorithm>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

constexpr int kLongestChain = 8;
constexpr int64_t kLargestImage = int64_t{1} << 22;  // elements whose places are followed

struct Places {
  Shape shape;
  std::vector<int32_t> index;  // where in x each element came from
};

bool is_movement(const Node* node) {
  switch (node->op()) {
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Transpose:
      return true;
    case Op::Gather: {
      const Value* index = node->input(1);
      return index->is_constant() && index->constant().elements() == 1;
    }
    default:
      return false;
  }
}

Places transposed(const Places& from, const std::vector<int64_t>& perm) {
  Places to;
  const auto strides = row_major_strides(from.shape);
  std::vector<int64_t> step;
  for (const int64_t axis : perm) {
    to.shape.push_back(from.shape.at(static_cast<size_t>(axis)));
    step.push_back(strides.at(static_cast<size_t>(axis)));
  }
  to.index.reserve(from.index.size());
  std::vector<int64_t> at(perm.size(), 0);
  int64_t offset = 0;
  for (size_t n = 0; n < from.index.size(); ++n) {
    to.index.push_back(from.index[static_cast<size_t>(offset)]);
    for (size_t i = perm.size(); i-- > 0;) {
      offset += step[i];
      if (++at[i] < to.shape[i]) break;
      offset -= step[i] * to.shape[i];
      at[i] = 0;
    }
  }
  return to;
}

Places picked(const Places& from, int64_t axis, int64_t index, const Shape& shape) {
  Places to{shape, {}};
  const auto a = static_cast<size_t>(axis);
  const int64_t extent = from.shape[a],
                inner = elements_of(Shape(from.shape.begin() + axis + 1, from.shape.end()));
  if (index < 0) index += extent;
  if (index < 0 || index >= extent) return to;
  for (int64_t start = index * inner; start < static_cast<int64_t>(from.index.size());
       start += extent * inner)
    to.index.insert(to.index.end(), from.index.begin() + start, from.index.begin() + start + inner);
  return to;
}

Places moved(const Places& from, const Node* node) {
  const Shape shape = node->output()->type.shape();
  if (node->op() == Op::Transpose) {
    std::vector<int64_t> perm = node->ints_attr("perm");
    for (int64_t i = static_cast<int64_t>(from.shape.size()); perm.size() < from.shape.size();)
      perm.push_back(--i);
    return transposed(from, perm);
  }
  if (node->op() == Op::Gather)
    return picked(from, normalized_axis(node->int_attr("axis", 0), static_cast<int64_t>(from.shape.size())),
                  to_ints(node->input(1)->constant())[0], shape);
  return {shape, from.index};
}

/// p of y[n,c,h,w] = x[n, p(c), h, w], or nothing.
std::optional<std::vector<int64_t>> channel_map(const Places& y, const Shape& x) {
  if (y.shape.size() != 4 || y.shape[0] != x[0] || y.shape[2] != x[2] || y.shape[3] != x[3]) return {};
  const int64_t plane = x[2] * x[3], channels = y.shape[1];
  if (plane == 0 || static_cast<int64_t>(y.index.size()) != elements_of(y.shape)) return {};
  std::vector<int64_t> map(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c)
    map[static_cast<size_t>(c)] = y.index[static_cast<size_t>(c * plane)] / plane;
  for (int64_t n = 0, i = 0; n < x[0]; ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < plane; ++p, ++i)
        if (y.index[static_cast<size_t>(i)] != (n * x[1] + map[static_cast<size_t>(c)]) * plane + p)
          return {};
  return map;
}

bool is_image(const Value* value) {
  return value->type.is_static() && value->type.rank() == 4 &&
         elements_of(value->type.shape()) <= kLargestImage;
}

/// The chain from x to y, first node first; empty when y is no end of such a chain.
std::vector<const Node*> chain_to(const Value* y) {
  std::vector<const Node*> chain;
  const Value* value = y;
  bool transposes = false;
  while (value->producer() != nullptr && is_movement(value->producer()) && value->type.is_static()) {
    if (!chain.empty() && value->type.rank() == 4 && transposes) break;
    chain.push_back(value->producer());
    transposes = transposes || value->producer()->op() == Op::Transpose;
    value = value->producer()->input(0);
    if (static_cast<int>(chain.size()) > kLongestChain) return {};
  }
  if (!transposes || chain.size() < 3 || !is_image(value)) return {};
  std::reverse(chain.begin(), chain.end());
  return chain;
}

bool rewrite(Graph& graph, Node* node) {
  if (!is_image(node->output()) || !is_movement(node)) return false;
  const auto chain = chain_to(node->output());
  if (chain.empty()) return false;
  Value* x = chain.front()->input(0);
  Places places{x->type.shape(), std::vector<int32_t>(static_cast<size_t>(elements_of(x->type.shape())))};
  for (size_t i = 0; i < places.index.size(); ++i) places.index[i] = static_cast<int32_t>(i);
  for (const Node* step : chain) places = moved(places, step);
  const auto map = channel_map(places, x->type.shape());
  if (!map) return false;
  Value* indices = add_ints(graph, node->output()->name + "_channels", *map);
  replace_with(graph, node->output(), Op::Gather, {x, indices}, {{"axis", int64_t{1}}});
  return true;
}

}  // namespace

Result<int64_t> recognise_shuffle(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes())
    if (!graph.is_dead(node) && !node->outputs().empty() && rewrite(graph, node)) ++found;
  return found;
}

}  // namespace narrow::passes
