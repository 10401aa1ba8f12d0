// act(A B + b + r)   ->   FusedMatMul(A, B, b, r; activation)
//
// From MatMul with a constant matrix B [K,N] (or DequantizeLinear or Cast of one) and from Gemm without
// transA; a bias is the Gemm's C or an Add of a constant vector [N]. Gemm's alpha and beta go into float
// constants. Each value on the way must have one reader. lower_matmul does the same and absorbs nothing.
#include "passes/fuse_tail.h"
#include "passes/list.h"

namespace narrow::passes {
namespace {

/// The product as FusedMatMul's operands.
struct Product {
  Value *a, *b, *bias = nullptr;
  bool trans_b = false;
};

bool is_constant_matrix(const Value* b) {
  return is_constant_weight(b) && b->type.is_static() && b->type.rank() == 2;
}

bool never(const Graph& graph, const Node* layer) {
  (void)graph;
  (void)layer;
  return false;
}

Value* scaled(Graph& graph, Value* constant, float factor) {
  if (factor == 1.0F) return constant;
  std::vector<float> values = to_floats(constant->constant());
  for (float& v : values) v *= factor;
  return add_floats(graph, constant->name, constant->constant().shape(), values);
}

/// [N] for a bias vector of N columns: the constant as it broadcasts, or a dequantized constant of that
/// shape.
std::optional<Value*> bias_vector(Graph& graph, Value* value, int64_t rank, int64_t columns) {
  if (const auto vector = per_channel(value, rank, rank - 1, columns)) {
    if (value->constant().shape() == Shape{columns} && value->type.dtype == DType::f32) return value;
    return add_floats(graph, value->name, Shape{columns}, *vector);
  }
  if (!is_constant_weight(value) || value->is_constant() || !value->type.is_static()) return {};
  return value->type.shape() == Shape{columns} ? std::optional(value) : std::nullopt;
}

std::optional<Product> from_gemm(Graph& graph, const Node* gemm) {
  if (gemm->int_attr("transA", 0) != 0 || !is_constant_matrix(gemm->input(1))) return {};
  Product product{
      .a = gemm->input(0), .b = gemm->input(1), .bias = nullptr, .trans_b = gemm->int_attr("transB", 0) != 0};
  const float alpha = gemm->float_attr("alpha", 1.0F), beta = gemm->float_attr("beta", 1.0F);
  if (alpha != 1.0F && !is_float_constant(product.b)) return {};
  if (gemm->input(2) != nullptr && beta != 0.0F) {
    const int64_t columns = product.b->type.shape()[product.trans_b ? 0 : 1];
    const auto bias = bias_vector(graph, gemm->input(2), 2, columns);
    if (!bias || (beta != 1.0F && !is_float_constant(*bias))) return {};
    product.bias = scaled(graph, *bias, beta);
  }
  product.b = scaled(graph, product.b, alpha);
  return product;
}

std::optional<Product> as_product(Graph& graph, const Node* node) {
  const ir::TensorType& a = node->input(0)->type;
  if (!a.is_static() || a.rank() < 2 || !node->output()->type.is_static() || !is_float(a.dtype)) return {};
  if (node->op() == Op::Gemm) return from_gemm(graph, node);
  if (!is_constant_matrix(node->input(1))) return {};
  return Product{.a = node->input(0), .b = node->input(1)};
}

/// Takes over the Add of a bias vector that follows.
Value* absorb_bias(Graph& graph, Product& product, Value* result) {
  Node* add = product.bias == nullptr ? only_reader(graph, result, Op::Add) : nullptr;
  if (add == nullptr || !same_shape(add->output(), result)) return result;
  const int64_t rank = result->type.rank();
  const auto bias = bias_vector(graph, other_input(add, result), rank, result->type.shape().back());
  if (!bias) return result;
  product.bias = *bias;
  return add->output();
}

void fuse(Graph& graph, Node* node, const Product& product, const Tail& tail) {
  Attributes attrs = tail.activation;
  if (product.trans_b) attrs["transB"] = int64_t{1};
  attrs["out_dtype"] = std::string(to_string(tail.result->type.dtype));
  std::vector<Value*> inputs{product.a, product.b, widened_bias(graph, product.bias), tail.residual};
  replace_with(graph, tail.result, Op::FusedMatMul, std::move(inputs), std::move(attrs), node->name);
}

int64_t rewrite_all(Graph& graph, bool absorb) {
  int64_t fused = 0;
  for (Node* node : graph.nodes()) {
    if (graph.is_dead(node) || (node->op() != Op::MatMul && node->op() != Op::Gemm)) continue;
    auto product = as_product(graph, node);
    if (!product) continue;
    Tail tail{.result = node->output(), .residual = nullptr, .activation = {}};
    if (absorb) tail = follow_tail(graph, absorb_bias(graph, *product, node->output()), never);
    fuse(graph, node, *product, tail);
    ++fused;
  }
  return fused;
}

}  // namespace

Result<int64_t> fuse_matmul(Graph& graph, const PassContext& context) {
  (void)context;
  return rewrite_all(graph, true);
}

Result<int64_t> lower_matmul(Graph& graph, const PassContext& context) {
  (void)context;
  return rewrite_all(graph, false);
}

}  // namespace narrow::passes
