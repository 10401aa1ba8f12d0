#include <map>

#include "ir/schema.h"
#include "onnx/canonical/canonical.h"

namespace narrow::onnx {
namespace {

using ir::Op;

const std::map<Op, Rewrite>& rewrites() {
  static const std::map<Op, Rewrite> table = {
      {Op::Attention, rewrite_attention},
      {Op::BatchNormalization, rewrite_batch_normalization},
      {Op::Cast, rewrite_cast},
      {Op::CastLike, rewrite_cast_like},
      {Op::Clip, rewrite_clip},
      {Op::Constant, rewrite_constant},
      {Op::DFT, rewrite_dft},
      {Op::Dropout, rewrite_dropout},
      {Op::GroupNormalization, rewrite_group_normalization},
      {Op::Hardmax, rewrite_hardmax},
      {Op::LogSoftmax, rewrite_softmax},
      {Op::Pad, rewrite_pad},
      {Op::QuantizeLinear, rewrite_quantize_linear},
      {Op::ReduceL1, rewrite_axes},
      {Op::ReduceL2, rewrite_axes},
      {Op::ReduceLogSum, rewrite_axes},
      {Op::ReduceLogSumExp, rewrite_axes},
      {Op::ReduceMax, rewrite_axes},
      {Op::ReduceMean, rewrite_axes},
      {Op::ReduceMin, rewrite_axes},
      {Op::ReduceProd, rewrite_axes},
      {Op::ReduceSum, rewrite_axes},
      {Op::ReduceSumSquare, rewrite_axes},
      {Op::Resize, rewrite_resize},
      {Op::RoiAlign, rewrite_roi_align},
      {Op::Slice, rewrite_slice},
      {Op::Softmax, rewrite_softmax},
      {Op::Split, rewrite_split},
      {Op::Squeeze, rewrite_axes},
      {Op::TopK, rewrite_top_k},
      {Op::Unsqueeze, rewrite_axes},
  };
  return table;
}

/// Names that newer opsets (or ONNX itself, for com.microsoft) gave to the same operator.
std::optional<Rule> renamed(const std::string& domain, const std::string& op_type) {
  if (domain.empty() && op_type == "Upsample") return Rule{Op::Resize, kOldestOpset, rewrite_upsample};
  if (domain.empty() && op_type == "Scatter") return Rule{Op::ScatterElements, 9, nullptr};
  if (domain != "com.microsoft") return std::nullopt;
  if (op_type == "QuantizeLinear") return Rule{Op::QuantizeLinear, 1, rewrite_quantize_linear};
  if (op_type == "DequantizeLinear") return Rule{Op::DequantizeLinear, 1, nullptr};
  if (op_type == "Gelu") return Rule{Op::Gelu, 1, nullptr};
  return std::nullopt;
}

}  // namespace

std::optional<Rule> find_rule(const std::string& domain, const std::string& op_type) {
  if (const auto rule = renamed(domain, op_type)) return rule;
  const std::optional<Op> op = ir::parse_op(op_type);
  if (!op || ir::schema(*op).domain != domain || domain == "narrow") return std::nullopt;
  const auto it = rewrites().find(*op);
  // The schema of GroupNormalization is that of 21, and its form of 18 can be rewritten.
  const int64_t since = *op == Op::GroupNormalization ? 18 : ir::schema(*op).since;
  return Rule{*op, since, it == rewrites().end() ? nullptr : it->second};
}

}  // namespace narrow::onnx
