#include "quant/factor_flow.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "passes/match.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

bool is_f32_constant(const Value* value) {
  return value != nullptr && value->is_constant() && value->type.dtype == DType::f32 && !value->type.quant;
}

bool is_zero(const Value* value) {
  if (!is_f32_constant(value)) return false;
  const auto x = value->constant().data<float>();
  return std::all_of(x.begin(), x.end(), [](float v) { return v == 0; });
}

bool is_followed(const Value* value) { return value->type.dtype == DType::f32 && !value->type.quant; }

/// A shape with ones in front, as broadcasting lines it up.
Shape lined_up(Shape dims, int64_t rank) {
  dims.insert(dims.begin(), static_cast<size_t>(rank) - dims.size(), 1);
  return dims;
}

ChannelIds lined_up(ChannelIds x, int64_t rank) {
  x.dims = lined_up(std::move(x.dims), rank);
  return x;
}

std::vector<int64_t> all_but(int64_t rank, int64_t axis) {
  std::vector<int64_t> axes(static_cast<size_t>(rank));
  std::iota(axes.begin(), axes.end(), int64_t{0});
  axes.erase(axes.begin() + axis);
  return axes;
}

/// The bound of a Clip, infinite when it is absent; nothing when it is computed.
std::optional<double> bound_of(const Value* value, double absent) {
  return value == nullptr ? absent : passes::scalar_constant(value);
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
bool bounds(double limit) {
  return std::fabs(limit) < static_cast<double>(std::numeric_limits<float>::max());
}

}  // namespace

int UnionFind::fresh() {
  parent_.push_back(static_cast<int>(parent_.size()));
  return parent_.back();
}

int UnionFind::find(int a) const {
  int root = a;
  while (parent_[static_cast<size_t>(root)] != root) root = parent_[static_cast<size_t>(root)];
  while (parent_[static_cast<size_t>(a)] != root) {
    const int next = parent_[static_cast<size_t>(a)];
    parent_[static_cast<size_t>(a)] = root;
    a = next;
  }
  return root;
}

void UnionFind::unite(int a, int b) {
  a = find(a), b = find(b);
  if (a != b) parent_[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
}

FactorFlow::FactorFlow(const ir::Graph& graph) : graph_(graph) {
  for (const Value* value : graph.values()) ids_.emplace(value, one(value));
  for (Node* node : graph.nodes()) visit(node);
  for (const ir::GraphOutput& output : graph.outputs()) {
    const ChannelIds& x = of(output.value);
    if (std::any_of(x.ids.begin(), x.ids.end(), [&](int id) { return find(id) != 0; }))
      barriers_.push_back({output.value, "a result of the model"});
    pin(x);
  }
}

const ChannelIds& FactorFlow::of(const Value* value) const { return ids_.at(value); }

ChannelIds FactorFlow::one(const Value* value) const { return ChannelIds::uniform(value->type.rank(), 0); }

void FactorFlow::pin(const ChannelIds& x) {
  for (const int id : x.ids) factors_.unite(0, id);
}

ChannelIds FactorFlow::barrier(const Node* node, const std::string& reason) {
  for (const Value* input : node->inputs()) {
    if (input == nullptr) continue;
    const ChannelIds& x = of(input);
    if (std::any_of(x.ids.begin(), x.ids.end(), [&](int id) { return find(id) != 0; }))
      barriers_.push_back({input, reason});
    pin(x);
  }
  return one(node->output());
}

ChannelIds FactorFlow::barrier(const Node* node) { return barrier(node, "read by " + node->location()); }

ChannelIds FactorFlow::united_along(ChannelIds x, const std::vector<int64_t>& axes) {
  for (const int64_t axis : axes) {
    if (axis >= x.rank() || !x.varies(axis)) continue;
    const int64_t extent = x.dims[static_cast<size_t>(axis)];
    const ChannelIds first = selected(x, axis, {0});
    for (int64_t i = 1; i < extent; ++i) {
      const ChannelIds other = selected(x, axis, {i});
      for (size_t k = 0; k < first.ids.size(); ++k) factors_.unite(first.ids[k], other.ids[k]);
    }
    x = first;
  }
  return x;
}

ChannelIds FactorFlow::united(const ChannelIds& a, const ChannelIds& b) {
  const int64_t rank = std::max(a.rank(), b.rank());
  const ChannelIds x = lined_up(a, rank), y = lined_up(b, rank);
  Shape dims(static_cast<size_t>(rank), 1);
  for (size_t i = 0; i < dims.size(); ++i) dims[i] = std::max(x.dims[i], y.dims[i]);
  const auto wide_x = expanded(x, dims), wide_y = expanded(y, dims);
  if (!wide_x || !wide_y) {
    pin(x), pin(y);
    return ChannelIds::uniform(rank, 0);
  }
  for (size_t i = 0; i < wide_x->ids.size(); ++i) factors_.unite(wide_x->ids[i], wide_y->ids[i]);
  return *wide_x;
}

void FactorFlow::visit(Node* node) {
  if (node->outputs().empty()) return;
  if (node->op() == Op::Shape || node->op() == Op::Size) return;  // look at no element
  const auto unknown = [](const Value* v) { return v != nullptr && is_followed(v) && !v->type.ranked; };
  const bool unranked = std::any_of(node->inputs().begin(), node->inputs().end(), unknown) ||
                        std::any_of(node->outputs().begin(), node->outputs().end(), unknown);
  const bool several = node->outputs().size() > 1 && node->op() != Op::LayerNormalization;
  if (!unranked && node->op() == Op::Split) return split(node);
  const bool followed = !unranked && !several && is_followed(node->output());
  ChannelIds x = followed ? result_of(node) : barrier(node);
  if (x.rank() != node->output()->type.rank()) {
    pin(x);
    x = barrier(node);
  }
  ids_[node->output()] = std::move(x);
}

ChannelIds FactorFlow::result_of(Node* node) {
  switch (node->op()) {
    case Op::Conv:
      return conv(node);
    case Op::Gemm:
    case Op::MatMul:
      return matrix(node);
    case Op::LayerNormalization:
    case Op::RMSNormalization:
    case Op::InstanceNormalization:
    case Op::GroupNormalization:
      return norm(node);
    case Op::Identity:
    case Op::Relu:
    case Op::LeakyRelu:
    case Op::Abs:
    case Op::Neg:
      return of(node->input(0));
    case Op::PRelu:  // the slope multiplies
      pin(of(node->input(1)));
      return of(node->input(0));
    case Op::Clip:
      return clip(node);
    case Op::Add:
    case Op::Sub:
      return sum(node);
    case Op::Mul:
    case Op::Div:
      return product(node);
    case Op::Max:
    case Op::Min:
      return extremum(node);
    default:
      return movement(node);
  }
}

void FactorFlow::read_by_layer(Node* node, const Value* x, int64_t axis, int64_t channels) {
  const ChannelIds ids = united_along(of(x), all_but(of(x).rank(), axis));
  const bool each = static_cast<int64_t>(ids.ids.size()) == channels;
  NARROW_CHECK(each || ids.ids.size() == 1);
  consumers_.push_back({node, each ? ids.ids : std::vector<int>(static_cast<size_t>(channels), ids.ids[0])});
}

ChannelIds FactorFlow::made_by_layer(Node* node, int64_t axis, int64_t channels) {
  std::vector<int> ids(static_cast<size_t>(channels));
  for (int& id : ids) id = factors_.fresh();
  producers_.push_back({node, ids});
  return ChannelIds::along(node->output()->type.rank(), axis, std::move(ids));
}

ChannelIds FactorFlow::conv(Node* node) {
  const Value *x = node->input(0), *w = node->input(1), *bias = node->input(2);
  if (!is_f32_constant(w) || w->constant().rank() < 3 || x->type.rank() != w->constant().rank())
    return barrier(node);
  const Tensor& weights = w->constant();
  read_by_layer(node, x, 1, weights.dim(1) * node->int_attr("group", 1));
  if (bias == nullptr || is_f32_constant(bias)) return made_by_layer(node, 1, weights.dim(0));
  pin(of(bias));
  return one(node->output());
}

/// MatMul and Gemm of a constant matrix.
ChannelIds FactorFlow::matrix(Node* node) {
  const Value *x = node->input(0), *w = node->input(1), *bias = node->input(2);
  const bool gemm = node->op() == Op::Gemm;
  const bool constant =
      is_f32_constant(w) && w->constant().rank() == 2 && x->type.rank() >= 2 && !x->is_constant();
  if (!constant) return gemm ? barrier(node) : activation_product(node);
  if (gemm && node->int_attr("transA", 0) != 0) return barrier(node);
  const bool transposed = gemm && node->int_attr("transB", 0) != 0;
  const int64_t inputs = w->constant().dim(transposed ? 1 : 0),
                outputs = w->constant().dim(transposed ? 0 : 1);
  read_by_layer(node, x, x->type.rank() - 1, inputs);
  if (!gemm || bias == nullptr || passes::per_channel(bias, 2, 1, outputs))
    return made_by_layer(node, node->output()->type.rank() - 1, outputs);
  pin(of(bias));
  return one(node->output());
}

/// What is normalised has no scale of its own; the constants behind it give the result one.
ChannelIds FactorFlow::norm(Node* node) {
  const Value *x = node->input(0), *scale = node->input(1), *shift = node->input(2);
  const bool last = node->op() == Op::LayerNormalization || node->op() == Op::RMSNormalization;
  const int64_t rank = x->type.rank(), axis = last ? rank - 1 : 1;
  const bool form = last ? passes::normalized_axis(node->int_attr("axis", -1), rank) == axis
                         : rank >= 2 && !node->has("channels_last");
  barrier(node);
  if (!form || !is_f32_constant(scale) || scale->constant().rank() != 1 ||
      passes::known_dim(node->output(), axis) != scale->constant().dim(0))
    return one(node->output());
  if (shift != nullptr && (!is_f32_constant(shift) || shift->constant().shape() != scale->constant().shape()))
    return one(node->output());
  return made_by_layer(node, axis, scale->constant().dim(0));
}

ChannelIds FactorFlow::clip(Node* node) {
  const auto low = bound_of(node->input(1), -kInfinity), high = bound_of(node->input(2), kInfinity);
  if (!low || !high || *low > 0 || *high < 0) return barrier(node);
  const ChannelIds& x = of(node->input(0));
  if ((*low != 0 && bounds(*low)) || (*high != 0 && bounds(*high))) clips_.push_back({node, 0, x});
  return x;
}

ChannelIds FactorFlow::sum(Node* node) {
  for (int i = 0; i < 2; ++i)
    if (node->input(i)->is_constant()) return added_constant(node, i);
  return united(of(node->input(0)), of(node->input(1)));
}

ChannelIds FactorFlow::added_constant(Node* node, int constant) {
  const Value* c = node->input(constant);
  const int64_t rank = node->output()->type.rank();
  const ChannelIds x = lined_up(of(node->input(1 - constant)), rank);
  if (is_zero(c)) return x;
  if (!is_f32_constant(c) || c->constant().elements() > kMostIds) return barrier(node);
  const Shape shape = lined_up(c->constant().shape(), rank);
  for (size_t i = 0; i < shape.size(); ++i)
    if (x.dims[i] != 1 && shape[i] != x.dims[i]) return barrier(node);
  shifts_.push_back({node, constant, x});
  return x;
}

ChannelIds FactorFlow::product(Node* node) {
  const int64_t rank = node->output()->type.rank();
  const Value *a = node->input(0), *b = node->input(1);
  if (is_f32_constant(b)) return product_with_constant(node, 1);
  if (node->op() == Op::Div) {
    pin(of(b));
    return lined_up(of(a), rank);
  }
  if (is_f32_constant(a)) return product_with_constant(node, 0);
  const auto is_one = [&](const Value* v) {
    const auto& ids = of(v).ids;
    return std::all_of(ids.begin(), ids.end(), [&](int id) { return find(id) == 0; });
  };
  if (is_one(a)) return lined_up(of(b), rank);
  pin(of(b));
  return lined_up(of(a), rank);
}

/// Numbers along one axis are a layer of their own: they take up what comes in and give what goes out a
/// scale. Others let the factors pass.
ChannelIds FactorFlow::product_with_constant(Node* node, int constant) {
  const Value *x = node->input(1 - constant), *c = node->input(constant);
  const int64_t rank = node->output()->type.rank();
  const Shape shape = lined_up(c->constant().shape(), rank);
  const auto long_axis = std::find_if(shape.begin(), shape.end(), [](int64_t d) { return d != 1; });
  const int64_t axis = long_axis - shape.begin();
  const ChannelIds ids = lined_up(of(x), rank);
  const bool alone =
      long_axis != shape.end() && *long_axis == c->constant().elements() && x->type.rank() == rank &&
      passes::known_dim(x, axis) == *long_axis &&
      (ids.ids.size() == 1 || ids.dims[static_cast<size_t>(axis)] == static_cast<int64_t>(ids.ids.size()));
  if (!alone) return ids;
  read_by_layer(node, x, axis, *long_axis);
  return made_by_layer(node, axis, *long_axis);
}

/// Sums over k of a[m,k] b[k,n]: the factors of one operand pass, those of the other become one.
ChannelIds FactorFlow::activation_product(Node* node) {
  const Value *a = node->input(0), *b = node->input(1);
  const int64_t rank = node->output()->type.rank();
  if (a->type.rank() < 2 || b->type.rank() < 2) return barrier(node);
  const auto& right = of(b).ids;
  if (std::all_of(right.begin(), right.end(), [&](int id) { return find(id) == 0; }))
    return lined_up(united_along(of(a), {a->type.rank() - 1}), rank);
  pin(of(a));
  return lined_up(united_along(of(b), {b->type.rank() - 2}), rank);
}

ChannelIds FactorFlow::extremum(Node* node) {
  const Value* a = node->input(0);
  if (node->inputs().size() == 1) return of(a);
  const Value* b = node->input(1);
  if (node->inputs().size() > 2) return barrier(node);
  const int64_t rank = node->output()->type.rank();
  if (is_zero(b)) return lined_up(of(a), rank);
  if (is_zero(a)) return lined_up(of(b), rank);
  return united(of(a), of(b));
}

}  // namespace narrow::quant
