// s = Max(Mul(ReduceMax(Abs(x), trailing axes), 1/127), 1e-30);  QuantizeLinear(Div(x, s), 1, 128)
//   ->  q, s = QuantizeRows(x)
//
// What int8-dynamic writes (quant/apply_dynamic.cpp). The codes are labelled: only DequantizeLinear may read
// them.
#include <algorithm>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

/// The operand of a commutative node whose other operand is this constant, or nullptr.
Value* besides(const Node* node, float constant) {
  for (int i = 0; node != nullptr && i < 2; ++i)
    if (is_scalar(node->input(1 - i), static_cast<double>(constant))) return node->input(i);
  return nullptr;
}

/// The first of the trailing axes a ReduceMax goes over; nothing when it is not so.
std::optional<int64_t> first_trailing_axis(const Node* reduce, int64_t rank) {
  auto axes = axes_input(reduce, 1, rank);
  if (!axes || axes->empty() || reduce->int_attr("keepdims", 1) != 1) return {};
  std::sort(axes->begin(), axes->end());
  for (size_t i = 0; i < axes->size(); ++i)
    if ((*axes)[i] != rank - static_cast<int64_t>(axes->size() - i)) return {};
  return axes->front();
}

Result<bool> rewrite(Graph& graph, Node* quantize) {
  const auto parameters = per_tensor_parameters(quantize);
  const Node* divide = producer_of(quantize->input(0), Op::Div);
  if (!parameters || parameters->scale[0] != 1.0F || parameters->zero_point[0] != 128 ||
      quantize->output()->type.dtype != DType::u8 || divide == nullptr)
    return false;
  Value *x = divide->input(0), *scale = divide->input(1);
  if (x->type.dtype != DType::f32 || !x->type.ranked || only_reader(graph, divide->output()) != quantize)
    return false;
  Value* unbounded = besides(producer_of(scale, Op::Max), 1e-30F);
  Value* largest = unbounded == nullptr ? nullptr : besides(producer_of(unbounded, Op::Mul), 1.0F / 127);
  const Node* reduce = largest == nullptr ? nullptr : producer_of(largest, Op::ReduceMax);
  const Node* abs = reduce == nullptr ? nullptr : producer_of(reduce->input(0), Op::Abs);
  if (abs == nullptr || abs->input(0) != x) return false;
  const auto axis = first_trailing_axis(reduce, x->type.rank());
  const auto& uses = quantize->output()->uses();
  const bool only_dequantized = std::all_of(uses.begin(), uses.end(), [](const ir::Use& use) {
    return use.node->op() == Op::DequantizeLinear && use.index == 0;
  });
  if (!axis || !only_dequantized || graph.is_graph_output(quantize->output())) return false;
  Node* rows =
      graph.add_node(Op::QuantizeRows, {x}, {quantize->output()->name + "_codes", scale->name + "_of_row"},
                     {{"axis", *axis}}, quantize->name);
  NARROW_DO(ir::infer_types(*rows));
  Value* codes = rows->outputs()[0];
  codes->type.quant = std::make_shared<const Quantization>(*parameters);
  take_place(graph, quantize->output(), codes);
  take_place(graph, scale, rows->outputs()[1]);
  return true;
}

}  // namespace

Result<int64_t> recognise_quantize_rows(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node) || node->op() != Op::QuantizeLinear) continue;
    NARROW_TRY(const bool done, rewrite(graph, node));
    found += done ? 1 : 0;
  }
  return found;
}

}  // namespace narrow::passes
