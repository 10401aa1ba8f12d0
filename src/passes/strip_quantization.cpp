// The float model inside a quantized one: every QuantizeLinear -> ... -> DequantizeLinear becomes the path in
// floats.
//
// Quantizers leave out a Relu or Clip that the integer range makes superfluous: where the zero point is the
// lowest integer, the range is a clamp of the model, and becomes a Clip. Between the two may lie what only
// moves elements or takes maxima: it is done on the floats. Weights behind DequantizeLinear stay for
// fold_narrow_constants. A DequantizeLinear of other integers (the model's inputs, what integer arithmetic
// made) stays.
#include <unordered_map>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/quant_view.h"

namespace narrow::passes {
namespace {

class Floats {
 public:
  explicit Floats(Graph& graph) : graph_(graph) {}

  /// The float value that the integers `value` were made of, or nullptr.
  Result<Value*> behind(Value* value) {
    if (const auto known = known_.find(value); known != known_.end()) return known->second;
    NARROW_TRY(Value * real, find(value));
    known_[value] = real;
    return real;
  }

 private:
  Result<Value*> find(Value* value) {
    const Node* node = value->producer();
    if (node == nullptr) return nullptr;
    if (node->op() == Op::QuantizeLinear) return clamped(node);
    if (!(is_movement(node) || is_maximum(node)) || node->input(0) == nullptr) return nullptr;
    NARROW_TRY(Value * data, behind(node->input(0)));
    if (data == nullptr) return nullptr;
    std::vector<Value*> inputs = node->inputs();
    inputs[0] = data;
    std::vector<std::string> names;
    for (const Value* output : node->outputs()) names.push_back(output->name + "_real");
    Node* moved = graph_.add_node(node->op(), std::move(inputs), names, node->attrs, node->name);
    NARROW_DO(ir::infer_types(*moved));
    for (size_t i = 0; i < node->outputs().size(); ++i) known_[node->outputs()[i]] = moved->outputs()[i];
    return known_.at(value);
  }

  /// What is quantized, in the bounds of a range that starts at 0.
  Result<Value*> clamped(const Node* quantize) {
    Value* x = quantize->input(0);
    const auto parameters = per_tensor_parameters(quantize);
    const IntegerRange range = quantize->output()->type.dtype == DType::u8 ? kRangeU8 : kRangeS8;
    const Node* producer = x->producer();
    const bool bounded = producer != nullptr && (producer->op() == Op::Relu || producer->op() == Op::Clip);
    if (!parameters || parameters->zero_point[0] != range.low || bounded) return x;
    const float high = static_cast<float>(range.high - range.low) * parameters->scale[0];
    Value *low_bound = add_floats(graph_, x->name + "_low", Shape{}, {0.0F}),
          *high_bound = add_floats(graph_, x->name + "_high", Shape{}, {high});
    NARROW_TRY(Value * clip, emit(graph_, Op::Clip, {x, low_bound, high_bound}, x->name + "_clamped"));
    // What the integers stand for is the clamped value.
    if (clip->origin = x->origin; !x->origin.empty()) x->origin += "_unclamped";
    clip->origin_perm = x->origin_perm;
    return clip;
  }

  Graph& graph_;
  std::unordered_map<const Value*, Value*> known_;
};

}  // namespace

Result<int64_t> strip_quantization(Graph& graph, const PassContext& context) {
  (void)context;
  Floats floats(graph);
  int64_t stripped = 0;
  for (Node* node : graph.nodes_of(Op::DequantizeLinear)) {
    NARROW_TRY(Value * real, floats.behind(node->input(0)));
    if (real == nullptr || real->type.dtype != node->output()->type.dtype) continue;
    graph.replace_all_uses(node->output(), real);
    ++stripped;
  }
  return stripped;
}

}  // namespace narrow::passes
