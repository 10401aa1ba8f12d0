// Mul, Div, Add, Sub by a constant per channel fold into the Conv, ConvTranspose or Gemm before them:
//   layer(x) * s + t  ->  layer'(x)          s, t of shape [1,C,1,1], [C,1,1] or a single number
// Mul and Div by a vector fold into a product, its bias and the Transpose behind it, too (layer scale):
//   Transpose(MatMul(x, W) + b) * s  ->  Transpose(MatMul(x, W') + b')          s per column of W
// Chains fold one by one, nearest first. Sub and Div only with the layer on the left.
#include <algorithm>

#include "passes/list.h"
#include "passes/scale_layer.h"

namespace narrow::passes {
namespace {

struct PerChannel {
  std::vector<double> scale, shift;
};

std::optional<PerChannel> as_affine(const Node* node, const Value* layer_output, int64_t channels) {
  const Value* constant = other_input(node, layer_output);
  if (!layer_output->type.ranked || constant == layer_output) return {};
  const auto values = per_channel(constant, layer_output->type.rank(), 1, channels);
  const bool layer_on_the_left = node->input(0) == layer_output;
  if (!values || (!layer_on_the_left && (node->op() == Op::Sub || node->op() == Op::Div))) return {};
  PerChannel affine{std::vector<double>(values->size(), 1.0), std::vector<double>(values->size(), 0.0)};
  for (size_t c = 0; c < values->size(); ++c) {
    const auto v = static_cast<double>((*values)[c]);
    if (node->op() == Op::Mul) affine.scale[c] = v;
    if (node->op() == Op::Div) affine.scale[c] = 1.0 / v;
    if (node->op() == Op::Add) affine.shift[c] = v;
    if (node->op() == Op::Sub) affine.shift[c] = -v;
    if (node->op() == Op::Div && v == 0.0) return {};
  }
  return affine;
}

bool is_affine_op(Op op) { return op == Op::Mul || op == Op::Div || op == Op::Add || op == Op::Sub; }

bool fold_into_operand(Graph& graph, Node* node) {
  for (int i = 0; i < 2; ++i) {
    Value* layer_output = node->input(i);
    const int64_t channels = foldable_channels(graph, layer_output);
    if (channels == 0) continue;
    const auto affine = as_affine(node, layer_output, channels);
    if (!affine) continue;
    scale_layer(graph, layer_output->producer(), affine->scale, affine->shift, node->output());
    return true;
  }
  return false;
}

// ---------------------------------------------------------------- products

/// MatMul by a constant matrix, then perhaps an Add of a constant per column, then perhaps a Transpose; each
/// read by the next alone.
struct Product {
  Node *matmul = nullptr, *add = nullptr, *transpose = nullptr;
  int64_t columns = 0;
};

const Value* bias_of(const Node* add, int64_t rank, int64_t columns) {
  for (int i = 0; i < 2; ++i)
    if (per_channel(add->input(i), rank, rank - 1, columns)) return add->input(i);
  return nullptr;
}

std::optional<Product> product_behind(const Graph& graph, const Value* value) {
  Product p;
  p.transpose = ir::producer_if_only_use(graph, value, Op::Transpose);
  if (p.transpose != nullptr) value = p.transpose->input(0);
  if (!value->type.ranked) return {};
  const int64_t rank = value->type.rank();
  p.add = ir::producer_if_only_use(graph, value, Op::Add);
  for (int i = 0; p.matmul == nullptr && i < (p.add != nullptr ? 2 : 1); ++i)
    p.matmul = ir::producer_if_only_use(graph, p.add != nullptr ? p.add->input(i) : value, Op::MatMul);
  if (p.matmul == nullptr || !is_float_constant(p.matmul->input(1))) return {};
  const Tensor& w = p.matmul->input(1)->constant();
  if (w.rank() != 2 || w.dtype() != DType::f32) return {};
  p.columns = w.dim(1);
  return p.add == nullptr || bias_of(p.add, rank, p.columns) != nullptr ? std::optional(p) : std::nullopt;
}

/// Factors of the product's columns, when that is what the other operand of `node` holds.
std::optional<std::vector<double>> column_factors(const Node* node, const Value* value, const Product& p) {
  const Value* constant = other_input(node, value);
  const int64_t rank = value->type.rank();
  int64_t axis = rank - 1;
  if (p.transpose != nullptr) {
    const auto perm = p.transpose->ints_attr("perm");
    if (perm.size() != static_cast<size_t>(rank)) return {};
    axis = std::find(perm.begin(), perm.end(), rank - 1) - perm.begin();
  }
  const auto values = per_channel(constant, rank, axis, p.columns);
  if (!values || constant->constant().elements() != p.columns || p.columns == 1) return {};
  std::vector<double> factors(values->begin(), values->end());
  if (node->op() == Op::Mul) return factors;
  for (double& factor : factors) {
    if (factor == 0) return {};
    factor = 1 / factor;
  }
  return factors;
}

/// The constant with each number times the factor of its last coordinate.
Value* scaled_columns(Graph& graph, const Value* constant, const std::vector<double>& factors) {
  const Tensor& old = constant->constant();
  const auto values = to_floats(old);
  const bool is_single = values.size() == 1 && factors.size() > 1;
  std::vector<float> scaled(is_single ? factors.size() : values.size());
  for (size_t i = 0; i < scaled.size(); ++i)
    scaled[i] =
        static_cast<float>(static_cast<double>(values[is_single ? 0 : i]) * factors[i % factors.size()]);
  const Shape shape = is_single ? Shape{static_cast<int64_t>(factors.size())} : old.shape();
  return add_floats(graph, constant->name, shape, scaled);
}

/// A value whose numbers are no longer those of the model's value of that name.
void call_scaled(Graph& graph, Value* value) {
  graph.rename(value, value->name + "_scaled");
  value->origin = value->name;
  value->origin_perm.clear();
}

bool fold_into_product(Graph& graph, Node* node) {
  for (int i = 0; i < (node->op() == Op::Mul ? 2 : 1); ++i) {
    Value* value = node->input(i);
    const auto product = product_behind(graph, value);
    if (!product || !same_shape(value, node->output())) continue;
    const auto factors = column_factors(node, value, *product);
    if (!factors) continue;
    graph.set_input(product->matmul, 1, scaled_columns(graph, product->matmul->input(1), *factors));
    if (product->add != nullptr) {
      const Value* bias = bias_of(product->add, product->add->output()->type.rank(), product->columns);
      const int at = product->add->input(0) == bias ? 0 : 1;
      graph.set_input(product->add, at, scaled_columns(graph, bias, *factors));
    }
    for (const Node* part : {product->matmul, product->add, product->transpose})
      if (part != nullptr) call_scaled(graph, part->output());
    take_place(graph, node->output(), value);
    return true;
  }
  return false;
}

bool fold(Graph& graph, Node* node) {
  if (fold_into_operand(graph, node)) return true;
  return (node->op() == Op::Mul || node->op() == Op::Div) && fold_into_product(graph, node);
}

}  // namespace

Result<int64_t> fold_affine(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t folded = 0;
  for (Node* node : graph.nodes())
    if (!graph.is_dead(node) && is_affine_op(node->op()) && fold(graph, node)) ++folded;
  return folded;
}

}  // namespace narrow::passes
