// The mean and the maximum over all pixels of an image, as exporters of other frameworks write them:
//   ReduceMean(x[N,C,H,W], axes = {2, 3})                                 -> GlobalAveragePool
//   ReduceMax(x[N,C,H,W], axes = {2, 3})                                  -> GlobalMaxPool
// With keepdims = 0 a Flatten follows: the pool's channels are then the rows of what comes next.
// Left alone when the axes are not constant, or the elements are no floats.
#include <algorithm>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

bool is_over_pixels(const Node* reduce) {
  const ir::TensorType& x = reduce->input(0)->type;
  if (!x.ranked || x.rank() != 4 || !is_float(x.dtype) || x.dtype != reduce->output()->type.dtype)
    return false;
  auto axes = axes_input(reduce, 1, x.rank());
  if (!axes) return false;
  std::sort(axes->begin(), axes->end());
  return *axes == std::vector<int64_t>{2, 3};
}

Status pool_instead(Graph& graph, Node* reduce) {
  const Op pool = reduce->op() == Op::ReduceMean ? Op::GlobalAveragePool : Op::GlobalMaxPool;
  Value* result = reduce->output();
  if (reduce->int_attr("keepdims", 1) == 1) {
    replace_with(graph, result, pool, {reduce->input(0)});
    return {};
  }
  Node* pooled = graph.add_node(pool, {reduce->input(0)}, {result->name + "_image"}, {}, reduce->name);
  NARROW_DO(ir::infer_types(*pooled));
  pooled->output()->origin = pooled->output()->name;  // calibration and verification know it by this name
  const int64_t channels_first = 1;
  replace_with(graph, result, Op::Flatten, {pooled->output()}, {{"axis", channels_first}},
               reduce->name.empty() ? "" : reduce->name + "_flatten");
  return {};
}

}  // namespace

Result<int64_t> recognise_pool(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes()) {
    const bool reduces = node->op() == Op::ReduceMean || node->op() == Op::ReduceMax;
    if (!reduces || !is_over_pixels(node)) continue;
    NARROW_DO(pool_instead(graph, node));
    ++found;
  }
  return found;
}

}  // namespace narrow::passes
