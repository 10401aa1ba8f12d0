#include "ir/ops/families.h"
#include "ir/ops/support.h"

namespace narrow::ir::ops {
namespace {

/// A scalar, or one loss per target with reduction "none".
Inferred infer_loss(const NodeView& view) {
  const std::string reduction = view.node().string_attr("reduction", "mean");
  if (reduction != "none" && reduction != "mean" && reduction != "sum")
    return view.error("reduction none, mean or sum", "'" + reduction + "'");
  const TensorType &x = view.type(0), &target = view.type(1);
  if (x.ranked && (x.rank() < 2 || (target.ranked && target.rank() + 1 != x.rank())))
    return view.error("scores [N,C,d...] and targets [N,d...]",
                      ir::to_string(x) + " and " + ir::to_string(target));
  return Types{reduction == "none" ? shaped_like(target, x.dtype) : TensorType::of(x.dtype, {}),
               shaped_like(x, x.dtype)};
}

OpSchema op(Op name, const char* doc, std::vector<Parameter> outputs) {
  return {.op = name,
          .domain = "",
          .since = 12,
          .doc = doc,
          .inputs = {{"input", kFloats}, {"target", kIndex}, {"weight", kFloats, kOptional}},
          .outputs = std::move(outputs),
          .infer = infer_loss};
}

}  // namespace

Schemas loss_ops() {
  return {op(Op::NegativeLogLikelihoodLoss,
             "-weight[target] * input[target], reduced; ignore_index counts as 0", {{"loss", kFloats}}),
          op(Op::SoftmaxCrossEntropyLoss,
             "NegativeLogLikelihoodLoss(LogSoftmax(scores, axis 1), labels, weights)",
             {{"output", kFloats}, {"log_prob", kFloats, kOptional}})};
}

}  // namespace narrow::ir::ops
