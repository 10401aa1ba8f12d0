// FlexAttention:  Y = prob_mod(softmax(score_mod(scale * Q K'))) V  per head; heads of K and V serve groups
// of heads of Q. The mods are graphs over the scores of all heads at once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"
#include "runtime/reference/subgraph.h"

namespace narrow::runtime::reference {
namespace {

/// The scores through the graph that attribute `name` holds, when there is one.
Result<Tensor> modified(const ir::Node& node, const char* name, Inputs inputs, const Tensor& scores) {
  if (!node.has(name)) return scores;
  NARROW_TRY(const ir::Graph* body, subgraph(node, name));
  std::vector<Tensor> given = {scores};
  for (size_t i = 3; i < inputs.size(); ++i)
    if (inputs[i] != nullptr) given.push_back(*inputs[i]);
  NARROW_TRY(const std::vector<Tensor> results, run_subgraph(node, *body, given));
  if (results.empty() || results[0].shape() != scores.shape() || !is_float(results[0].dtype()))
    return invalid(node, std::string(name) + " to keep " + to_string(scores.shape()),
                   results.empty() ? "nothing" : to_string(results[0].shape()));
  return results[0];
}

}  // namespace

Outputs eval_flex_attention(const ir::Node& node, Inputs inputs) {
  const Tensor &q = *inputs[0], &k = *inputs[1], &v = *inputs[2];
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4 || k.dim(0) != q.dim(0) || v.dim(0) != q.dim(0) ||
      k.dim(3) != q.dim(3) || k.dim(1) != v.dim(1) || k.dim(2) != v.dim(2) || k.dim(1) < 1 ||
      q.dim(1) % k.dim(1) != 0)
    return invalid(
        node, "Q, K and V of rank 4 that fit together",
        fmt::format("{}, {}, {}", to_string(q.shape()), to_string(k.shape()), to_string(v.shape())));
  DType precision = q.dtype() == DType::f64 ? DType::f64 : DType::f32;
  if (node.has("softmax_precision")) {
    NARROW_TRY(precision, onnx_dtype(node, node.int_attr("softmax_precision", 0)));
  }
  const int64_t heads = q.dim(1), rows = q.dim(2), keys = k.dim(2), width = q.dim(3), out = v.dim(3),
                group = heads / k.dim(1);
  const double scale = node.has("scale") ? static_cast<double>(node.float_attr("scale", 1))
                                         : 1 / std::sqrt(static_cast<double>(width));
  const Shape shape = {q.dim(0), heads, rows, keys};
  NARROW_TRY(Tensor products, make_tensor(node, DType::f64, shape));
  const std::vector<double> a = to_doubles(q), b = to_doubles(k), c = to_doubles(v);
  const auto kv_line = [&](int64_t line) { return line / heads * k.dim(1) + line % heads / group; };
  for (int64_t i = 0; i < products.elements(); ++i) {
    const int64_t row = i / keys, line = row / rows, key = i % keys;
    double sum = 0;
    for (int64_t d = 0; d < width; ++d)
      sum += a[static_cast<size_t>(row * width + d)] *
             b[static_cast<size_t>((kv_line(line) * keys + key) * width + d)];
    products.mutable_data<double>()[static_cast<size_t>(i)] = sum * scale;
  }
  NARROW_TRY(const Tensor scores, modified(node, "score_mod", inputs, cast(products, precision)));
  std::vector<double> p = to_doubles(scores);
  for (int64_t row = 0; keys > 0 && row < q.dim(0) * heads * rows; ++row) {
    const auto first = p.begin() + row * keys;
    const double max = *std::max_element(first, first + keys);
    double sum = 0;
    std::for_each(first, first + keys,
                  [&](double& s) { sum += s = std::isinf(max) && max < 0 ? 0 : std::exp(s - max); });
    std::for_each(first, first + keys, [&](double& s) { s = sum > 0 ? s / sum : s; });
  }
  NARROW_TRY(const Tensor probabilities,
             modified(node, "prob_mod", inputs, cast(Tensor::of(shape, p), precision)));
  p = to_doubles(probabilities);
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {q.dim(0), heads, rows, out}));
  for (int64_t i = 0; i < y.elements(); ++i) {
    const int64_t row = i / out, line = row / rows;
    double sum = 0;
    for (int64_t key = 0; key < keys; ++key)
      sum += p[static_cast<size_t>(row * keys + key)] *
             c[static_cast<size_t>((kv_line(line) * keys + key) * out + i % out)];
    y.mutable_data<double>()[static_cast<size_t>(i)] = sum;
  }
  return one(cast(y, q.dtype()));
}

}  // namespace narrow::runtime::reference
