// Convolutions and pools over sequences become those over images one pixel high:
//   Conv(x[N,C,L], W[O,C,K])  ->  Squeeze(Conv(Unsqueeze(x), W[O,C,1,K]))        Unsqueeze: [N,C,L] ->
//   [N,C,1,L]
// so that they quantize, fuse and run as images do. What lies between two of them (activations, sums,
// products, Concat, Split) follows, and the Squeeze and Unsqueeze between are gone; those at the ends move no
// data.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "ir/schema.h"
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

constexpr int64_t kHigh = 2;  // the axis that is new

bool is_any_of(Op op, std::initializer_list<Op> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

/// One input and one output of the same shape, element by element.
bool is_elementwise(Op op) {
  return is_any_of(op, {Op::Relu,    Op::Clip,        Op::LeakyRelu, Op::Elu,  Op::Selu,     Op::Celu,
                        Op::Sigmoid, Op::HardSigmoid, Op::HardSwish, Op::Tanh, Op::Softplus, Op::Softsign,
                        Op::Gelu,    Op::Mish,        Op::Swish,     Op::Exp,  Op::Abs,      Op::Neg,
                        Op::Sqrt,    Op::Erf,         Op::Identity});
}

bool is_binary(Op op) {
  return is_any_of(op, {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Max, Op::Min, Op::Pow, Op::PRelu});
}

std::vector<int64_t> with_first(std::vector<int64_t> list, int64_t first) {
  list.insert(list.begin(), first);
  return list;
}

/// strides, dilations, kernel_shape [k] -> [1, k]; pads [a, b] -> [0, a, 0, b].
Attributes image_attributes(const Node* node) {
  Attributes attrs = node->attrs;
  for (auto& [name, value] : attrs) {
    auto* list = std::get_if<std::vector<int64_t>>(&value);
    if (list == nullptr || list->empty()) continue;
    if (name == "pads" && list->size() == 2)
      *list = {0, (*list)[0], 0, (*list)[1]};
    else if (name == "output_padding")
      *list = with_first(*list, 0);
    else if (name == "kernel_shape" || name == "strides" || name == "dilations")
      *list = with_first(*list, 1);
  }
  return attrs;
}

/// Where an axis of [N,C,L] is in [N,C,1,L]; -1 when it is none.
int64_t image_axis(int64_t axis) {
  constexpr std::array<int64_t, 6> kAxes = {0, 1, 3, 0, 1, 3};  // from -3 on
  return axis < -3 || axis > 2 ? -1 : kAxes[static_cast<size_t>(axis + 3)];
}

class Lifter {
 public:
  explicit Lifter(Graph& graph) : graph_(graph) {}

  Result<int64_t> run() {
    for (Node* node : graph_.nodes()) {
      if (node->outputs().empty() || node->output()->type.dtype != DType::f32) continue;
      NARROW_DO(visit(node));
    }
    return lifted_nodes_;
  }

 private:
  Status visit(Node* node) {
    const Op op = node->op();
    if (op == Op::Conv || op == Op::ConvTranspose) return conv(node);
    const bool plain_pool = is_any_of(op, {Op::MaxPool, Op::AveragePool}) && node->outputs().size() == 1 &&
                            node->ints_attr("kernel_shape").size() == 1;
    if (plain_pool && is_sequence(node->input(0))) return replace(node, {0}, image_attributes(node));
    if (!images_.contains(node->input(0)) && !images_.contains(node->input(1))) return {};
    if (op == Op::GlobalAveragePool || op == Op::GlobalMaxPool || op == Op::BatchNormalization ||
        is_elementwise(op))
      return replace(node, {0}, node->attrs);
    if (is_binary(op)) return binary(node);
    if (op == Op::Concat || op == Op::Split) return along_axis(node);
    return {};
  }

  static bool is_sequence(const Value* x) { return x != nullptr && x->type.ranked && x->type.rank() == 3; }

  Status conv(Node* node) {
    const Value* w = node->input(1);
    if (w == nullptr || !w->is_constant() || w->constant().rank() != 3 || !is_float_constant(w)) return {};
    if (node->has("output_shape")) return {};
    const Shape& shape = w->constant().shape();
    Attributes attrs = image_attributes(node);
    attrs["kernel_shape"] = std::vector<int64_t>{1, shape[2]};
    std::vector<Value*> inputs = node->inputs();
    inputs[1] = graph_.add_constant(w->name, w->constant().reshaped({shape[0], shape[1], 1, shape[2]}));
    NARROW_TRY(inputs[0], image_of(inputs[0]));
    return place(node, std::move(inputs), std::move(attrs));
  }

  /// The inputs listed become images, the others stay.
  Status replace(Node* node, std::initializer_list<size_t> images, Attributes attrs) {
    std::vector<Value*> inputs = node->inputs();
    for (const size_t i : images) {
      NARROW_TRY(inputs[i], image_of(inputs[i]));
    }
    return place(node, std::move(inputs), std::move(attrs));
  }

  Status binary(Node* node) {
    std::vector<Value*> inputs = node->inputs();
    for (Value*& input : inputs)
      if (input == nullptr || (!input->is_constant() && !images_.contains(input) && !is_sequence(input)) ||
          (input->is_constant() && input->constant().rank() > 3))
        return {};
    for (Value*& input : inputs) {
      NARROW_TRY(input, input->is_constant() ? constant_image(input) : image_of(input));
    }
    return place(node, std::move(inputs), node->attrs);
  }

  Status along_axis(Node* node) {
    const int64_t axis = image_axis(node->int_attr("axis", 0));
    std::vector<Value*> inputs = node->inputs();
    const size_t data = node->op() == Op::Concat ? inputs.size() : 1;
    for (size_t i = 0; i < data; ++i)
      if (axis < 0 || !(images_.contains(inputs[i]) || (is_sequence(inputs[i]) && !inputs[i]->is_constant())))
        return {};
    for (size_t i = 0; i < data; ++i) {
      NARROW_TRY(inputs[i], image_of(inputs[i]));
    }
    Attributes attrs = node->attrs;
    attrs["axis"] = axis;
    return place(node, std::move(inputs), std::move(attrs));
  }

  Result<Value*> image_of(Value* x) {
    const auto known = images_.find(x);
    if (known != images_.end()) return known->second;
    Value* axes = add_ints(graph_, x->name + "_high", {kHigh});
    NARROW_TRY(Value * image, emit(graph_, Op::Unsqueeze, {x, axes}, x->name + "_image"));
    image->origin = image->name;
    images_[x] = image;
    return image;
  }

  /// [C,1] -> [C,1,1] and [N,C,L] -> [N,C,1,L]; what aligns with L alone stays.
  Result<Value*> constant_image(Value* constant) {
    Shape shape = constant->constant().shape();
    if (shape.size() < 2) return constant;
    shape.insert(shape.end() - 1, 1);
    return graph_.add_constant(constant->name, constant->constant().reshaped(shape));
  }

  /// The node over images; each of its outputs squeezed takes the place of the old one.
  Status place(Node* node, std::vector<Value*> inputs, Attributes attrs) {
    std::vector<std::string> names;
    for (const Value* output : node->outputs()) names.push_back(output->name + "_image");
    Node* image = graph_.add_node(node->op(), std::move(inputs), names, std::move(attrs), node->name);
    NARROW_DO(ir::infer_types(*image));
    const std::vector<Value*> outputs = node->outputs();
    for (size_t i = 0; i < outputs.size(); ++i) {
      Value* of = image->output(static_cast<int>(i));
      of->origin = of->name;  // calibration and verification know it by its own name: no axes of another fit
      Value* axes = add_ints(graph_, outputs[i]->name + "_high", {kHigh});
      NARROW_TRY(Value * sequence, emit(graph_, Op::Squeeze, {of, axes}, outputs[i]->name));
      images_[sequence] = of;
      take_place(graph_, outputs[i], sequence);
    }
    ++lifted_nodes_;
    return {};
  }

  Graph& graph_;
  std::unordered_map<const Value*, Value*> images_;  // [N,C,L] -> [N,C,1,L]
  int64_t lifted_nodes_ = 0;
};

}  // namespace

Result<int64_t> conv1d_to_conv2d(Graph& graph, const PassContext& context) {
  (void)context;
  return Lifter(graph).run();
}

}  // namespace narrow::passes
