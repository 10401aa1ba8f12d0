// Transpose(QuantizeLinear(x), {0,2,3,1})  ->  QuantizeImage(x)
//
// What stands at the start of a quantized network over images: one pass over memory instead of two. Per
// tensor, to 8 bits, where nothing else reads the codes.
#include "ir/schema.h"
#include "passes/layout_rules.h"
#include "passes/list.h"
#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

bool is_kernel_image(const Value* x) {
  const DType dtype = x->type.dtype;
  return is_image(x) && (dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16);
}

Result<bool> rewrite(Graph& graph, Node* quantize) {
  Node* transpose = only_reader(graph, quantize->output(), Op::Transpose);
  if (transpose == nullptr || transpose->ints_attr("perm") != kToLast || !per_tensor_parameters(quantize) ||
      !is_kernel_image(quantize->input(0)) || quantize->inputs().size() < 3 ||
      quantize->input(2) == nullptr || !is_int8(quantize->output()->type.dtype) ||
      quantize->int_attr("precision", 0) > 1)
    return false;
  Node* image = graph.add_node(Op::QuantizeImage, quantize->inputs(), {transpose->output()->name + "_codes"},
                               {}, quantize->name);
  NARROW_DO(ir::infer_types(*image));
  image->output()->type.quant = transpose->output()->type.quant;
  take_place(graph, transpose->output(), image->output());
  return true;
}

}  // namespace

Result<int64_t> fuse_quantize_image(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t changes = 0;
  for (Node* node : graph.nodes_of(Op::QuantizeLinear)) {
    NARROW_TRY(const bool changed, rewrite(graph, node));
    changes += changed ? 1 : 0;
  }
  return changes;
}

}  // namespace narrow::passes
