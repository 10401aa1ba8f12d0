// Attention (opset 23):  Y = softmax(softcap(scale * Q K') + mask) V  per head; heads of K and V serve groups
// of heads of Q. A past cache comes before the new keys; causal queries see keys up to their own position
// behind it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// [b, s, heads * d] -> [b, heads, s, d]; rank 4 stays.
Result<Tensor> split_heads(const ir::Node& node, const Tensor& x, int64_t heads) {
  if (x.rank() == 4) return x;
  if (x.rank() != 3 || heads < 1 || x.dim(2) % heads != 0)
    return invalid(node, fmt::format("[b, heads, s, d] or [b, s, {} * d]", heads), to_string(x.shape()));
  return permute(node, x.reshaped({x.dim(0), x.dim(1), heads, x.dim(2) / heads}), {0, 2, 1, 3});
}

/// The past keys or values, then the new ones, along the sequence.
Result<Tensor> with_past(const ir::Node& node, const Tensor* past, const Tensor& now) {
  if (past == nullptr || past->elements() == 0) return now;
  Shape shape = past->shape();
  if (shape.size() != 4 || past->dtype() != now.dtype())
    return invalid(node, "a past of rank 4", to_string(shape));
  shape[2] = now.dim(2);
  if (shape != now.shape())
    return invalid(node, "a past that fits " + to_string(now.shape()), to_string(past->shape()));
  shape[2] += past->dim(2);
  NARROW_TRY(Tensor all, make_tensor(node, now.dtype(), shape));
  const int64_t width = now.dim(3) * bytes_of(now.dtype());
  const auto old_bytes = static_cast<size_t>(past->dim(2) * width),
             new_bytes = static_cast<size_t>(now.dim(2) * width);
  auto* to = static_cast<std::byte*>(all.mutable_raw());
  for (size_t i = 0; i < static_cast<size_t>(shape[0] * shape[1]); ++i) {
    std::memcpy(to, static_cast<const std::byte*>(past->raw()) + i * old_bytes, old_bytes);
    std::memcpy(to + old_bytes, static_cast<const std::byte*>(now.raw()) + i * new_bytes, new_bytes);
    to += old_bytes + new_bytes;
  }
  return all;
}

/// The mask as an additive bias: 0 or -inf for booleans. It broadcasts to [b, heads, q, keys]; keys beyond
/// its own last axis are masked.
struct Mask {
  std::vector<double> bias;
  std::vector<int64_t> strides = {0, 0, 0, 0};
  int64_t keys = 0;  // 0: no mask

  double at(int64_t b, int64_t head, int64_t query, int64_t key) const {
    if (bias.empty()) return 0;
    if (key >= keys) return -kInfinity;
    return bias[static_cast<size_t>(b * strides[0] + head * strides[1] + query * strides[2] +
                                    key * strides[3])];
  }
};

Result<Mask> mask_of(const ir::Node& node, const Tensor* mask, Shape scores) {
  Mask m;
  if (mask == nullptr || mask->elements() == 0) return m;
  m.keys = mask->rank() > 0 ? mask->shape().back() : 1;
  if (m.keys > scores[3])
    return invalid(node, fmt::format("a mask of at most {} keys", scores[3]), to_string(mask->shape()));
  if (m.keys == 1) m.keys = scores[3];
  scores[3] = m.keys;
  if (!broadcasts_to(mask->shape(), scores))
    return invalid(node, "a mask for " + to_string(scores), to_string(mask->shape()));
  m.strides = broadcast_strides(mask->shape(), scores);
  m.bias = to_doubles(*mask);
  if (mask->dtype() == DType::boolean)
    for (double& v : m.bias) v = v != 0 ? 0 : -kInfinity;
  return m;
}

struct Scores {
  double scale = 1, softcap = 0;
  bool causal = false;
  int64_t past = 0;  // keys before the queries' own
  int64_t mode =
      0;  // what qk_matmul_output holds: 0 products, 1 after softcap, 2 with the mask, 3 the softmax
};

/// In place: softmax of a row; a row of -inf becomes zeros.
void softmax_row(std::vector<double>& row) {
  const double max = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (double& v : row) sum += v = max == -kInfinity ? 0 : std::exp(v - max);
  for (double& v : row) v = sum == 0 ? 0 : v / sum;
}

/// One query: row[j] over all keys, then out[v]; kept receives what `mode` asks for.
template <class T>
void attend(const Scores& s, const T* q, const T* keys, const T* values, int64_t width, int64_t value_width,
            int64_t query, const std::vector<double>& bias, std::vector<double>& row, T* out, T* kept) {
  const auto count = static_cast<int64_t>(row.size());
  const auto keep = [&](int64_t mode) {
    if (kept != nullptr && s.mode == mode)
      std::transform(row.begin(), row.end(), kept, [](double v) { return static_cast<T>(v); });
  };
  for (int64_t j = 0; j < count; ++j) {
    double sum = 0;
    for (int64_t d = 0; d < width; ++d)
      sum += static_cast<double>(q[d]) * static_cast<double>(keys[j * width + d]);
    row[static_cast<size_t>(j)] = sum * s.scale;
  }
  keep(0);
  if (s.softcap > 0)
    for (double& v : row) v = s.softcap * std::tanh(v / s.softcap);
  keep(1);
  for (int64_t j = 0; j < count; ++j) {
    const bool hidden = (s.causal && j > query + s.past) || bias[static_cast<size_t>(j)] == -kInfinity;
    row[static_cast<size_t>(j)] =
        hidden ? -kInfinity : row[static_cast<size_t>(j)] + bias[static_cast<size_t>(j)];
  }
  keep(2);
  if (!row.empty()) softmax_row(row);
  keep(3);
  for (int64_t d = 0; d < value_width; ++d) {
    double sum = 0;
    for (int64_t j = 0; j < count; ++j)
      if (row[static_cast<size_t>(j)] != 0)
        sum += row[static_cast<size_t>(j)] * static_cast<double>(values[j * value_width + d]);
    out[d] = static_cast<T>(sum);
  }
}

Status fit(const ir::Node& node, const Tensor& q, const Tensor& k, const Tensor& v) {
  const bool ok = k.dim(0) == q.dim(0) && v.dim(0) == q.dim(0) && k.dim(1) == v.dim(1) &&
                  k.dim(2) == v.dim(2) && k.dim(3) == q.dim(3) && k.dim(1) > 0 && q.dim(1) % k.dim(1) == 0;
  if (ok) return {};
  return invalid(node, "Q, K, V of one batch, K and V of one length, heads that divide",
                 fmt::format("{}, {}, {}", to_string(q.shape()), to_string(k.shape()), to_string(v.shape())));
}

}  // namespace

Outputs eval_attention(const ir::Node& node, Inputs inputs) {
  if (inputs.size() > 6) return unsupported(node, "the inputs of opset 23", "nonpad_kv_seqlen");
  NARROW_DO(one_type(node, inputs, 1, 2));
  const int64_t kv_heads = node.int_attr("kv_num_heads", 0);
  NARROW_TRY(const Tensor q, split_heads(node, *inputs[0], node.int_attr("q_num_heads", 0)));
  NARROW_TRY(const Tensor new_k, split_heads(node, *inputs[1], kv_heads));
  NARROW_TRY(const Tensor new_v, split_heads(node, *inputs[2], kv_heads));
  NARROW_TRY(const Tensor k, with_past(node, optional_input(inputs, 4), new_k));
  NARROW_TRY(const Tensor v, with_past(node, optional_input(inputs, 5), new_v));
  NARROW_DO(fit(node, q, k, v));
  const int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), width = q.dim(3), keys = k.dim(2),
                value_width = v.dim(3);
  const Shape shape = {batch, heads, queries, keys};
  NARROW_TRY(const Mask mask, mask_of(node, optional_input(inputs, 3), shape));
  const Scores scores{.scale = node.has("scale") ? static_cast<double>(node.float_attr("scale", 1))
                                                 : 1 / std::sqrt(static_cast<double>(width)),
                      .softcap = static_cast<double>(node.float_attr("softcap", 0)),
                      .causal = node.int_attr("is_causal", 0) != 0,
                      .past = keys - new_k.dim(2),
                      .mode = node.int_attr("qk_matmul_output_mode", 0)};
  const bool keep = node.outputs().size() > 3;
  NARROW_TRY(Tensor y, make_tensor(node, q.dtype(), {batch, heads, queries, value_width}));
  NARROW_TRY(Tensor kept, make_tensor(node, q.dtype(), keep ? shape : Shape{0}));
  return for_floats(node, q.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    std::vector<double> row(static_cast<size_t>(keys)), bias(row.size());
    for (int64_t i = 0; i < batch * heads * queries; ++i) {
      const int64_t b = i / (heads * queries), head = i / queries % heads, query = i % queries;
      const int64_t shared = b * k.dim(1) + head / (heads / k.dim(1));
      for (int64_t j = 0; j < keys; ++j) bias[static_cast<size_t>(j)] = mask.at(b, head, query, j);
      attend<T>(scores, q.data<T>().data() + i * width, k.data<T>().data() + shared * keys * width,
                v.data<T>().data() + shared * keys * value_width, width, value_width, query, bias, row,
                y.mutable_data<T>().data() + i * value_width,
                keep ? kept.mutable_data<T>().data() + i * keys : nullptr);
    }
    if (inputs[0]->rank() == 3) {
      NARROW_TRY(y, permute(node, y, {0, 2, 1, 3}));
      y = y.reshaped({batch, queries, heads * value_width});
    }
    return std::vector<Tensor>{std::move(y), k, v, std::move(kept)};
  });
}

}  // namespace narrow::runtime::reference
