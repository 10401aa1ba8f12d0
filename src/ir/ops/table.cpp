#include <algorithm>

#include "base/check.h"
#include "ir/ops/families.h"

namespace narrow::ir {

const std::vector<OpSchema>& all_schemas() {
  static const std::vector<OpSchema> table = [] {
    std::vector<OpSchema> all;
    for (const auto family :
         {ops::conv_ops,      ops::matmul_ops,   ops::einsum_ops,  ops::pool_ops,   ops::norm_ops,
          ops::unary_ops,     ops::binary_ops,   ops::reduce_ops,  ops::search_ops, ops::shape_ops,
          ops::reshape_ops,   ops::movement_ops, ops::slice_ops,   ops::gather_ops, ops::resize_ops,
          ops::attention_ops, ops::quantize_ops, ops::qlinear_ops, ops::fused_ops,  ops::control_ops,
          ops::bit_ops,       ops::select_ops,   ops::image_ops,   ops::signal_ops, ops::loss_ops,
          ops::recurrent_ops})
      for (OpSchema& schema : family()) all.push_back(std::move(schema));
    std::sort(all.begin(), all.end(), [](const OpSchema& a, const OpSchema& b) { return a.op < b.op; });
    return all;
  }();
  return table;
}

const OpSchema& schema(Op op) {
  const OpSchema& found = all_schemas().at(static_cast<size_t>(op));
  NARROW_CHECK(found.op == op);
  return found;
}

}  // namespace narrow::ir
