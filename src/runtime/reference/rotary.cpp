// RotaryEmbedding:  pairs (x1, x2) of a head's elements turn by an angle that depends on the position.
//   real = cos x1 - sin x2,  imag = sin x1 + cos x2;  pairs are neighbours (interleaved) or half a rotation
//   apart.
#include <fmt/format.h>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// x [batch, heads, sequence, head] or [batch, sequence, heads * head]: extents and strides of the four axes.
struct Heads {
  int64_t batch = 0, sequence = 0, heads = 0, head = 0;
  int64_t sequence_stride = 0, head_stride = 0;
  int64_t rotated = 0;  // leading elements of a head that turn
};

Result<Heads> heads_of(const ir::Node& node, const Tensor& x) {
  Heads h;
  const int64_t heads = node.int_attr("num_heads", 0);
  if (x.rank() == 4) {
    h = {.batch = x.dim(0), .sequence = x.dim(2), .heads = x.dim(1), .head = x.dim(3)};
    h.sequence_stride = h.head, h.head_stride = h.head * h.sequence;
  } else if (x.rank() == 3 && heads > 0 && x.dim(2) % heads == 0) {
    h = {.batch = x.dim(0), .sequence = x.dim(1), .heads = heads, .head = x.dim(2) / heads};
    h.sequence_stride = x.dim(2), h.head_stride = h.head;
  } else {
    return invalid(node, "[b, heads, s, d], or [b, s, heads * d] with num_heads", to_string(x.shape()));
  }
  h.rotated = node.int_attr("rotary_embedding_dim", 0);
  if (h.rotated == 0) h.rotated = h.head;
  if (h.rotated < 0 || h.rotated > h.head || h.rotated % 2 != 0)
    return invalid(node, fmt::format("an even rotary_embedding_dim up to {}", h.head),
                   std::to_string(h.rotated));
  return h;
}

/// The row of the caches for every [batch, sequence] position.
Result<std::vector<int64_t>> cache_rows(const ir::Node& node, Inputs inputs, const Heads& h) {
  const Tensor& cache = *inputs[1];
  const Tensor* ids = optional_input(inputs, 3);
  const Shape by_position = {h.batch, h.sequence, h.rotated / 2};
  if (inputs[2]->shape() != cache.shape())
    return invalid(node, "caches of one shape", to_string(inputs[2]->shape()));
  std::vector<int64_t> rows(static_cast<size_t>(h.batch * h.sequence));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  if (ids == nullptr) {
    if (cache.shape() == by_position) return rows;
    return invalid(node, "caches " + to_string(by_position), to_string(cache.shape()));
  }
  if (cache.rank() != 2 || cache.dim(1) != h.rotated / 2 || ids->shape() != Shape{h.batch, h.sequence})
    return invalid(node, fmt::format("caches [n, {}] and positions [b, s]", h.rotated / 2),
                   to_string(cache.shape()));
  rows = to_ints(*ids);
  for (const int64_t row : rows)
    if (row < 0 || row >= cache.dim(0))
      return invalid(node, fmt::format("positions below {}", cache.dim(0)), std::to_string(row));
  return rows;
}

}  // namespace

Outputs eval_rotary_embedding(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  NARROW_DO(one_type(node, inputs, 1, 2));
  NARROW_TRY(const Heads h, heads_of(node, x));
  NARROW_TRY(const std::vector<int64_t> rows, cache_rows(node, inputs, h));
  const bool interleaved = node.int_attr("interleaved", 0) != 0;
  const int64_t half = h.rotated / 2;
  Tensor y = x.clone();
  return for_floats(node, x.dtype(), [&](auto tag) -> Outputs {
    using T = decltype(tag);
    for (int64_t i = 0; i < h.batch * h.heads * h.sequence; ++i) {
      const int64_t b = i / (h.heads * h.sequence), head = i / h.sequence % h.heads, s = i % h.sequence;
      T* to = y.mutable_data<T>().data() + b * h.heads * h.sequence * h.head + head * h.head_stride +
              s * h.sequence_stride;
      const int64_t row = rows[static_cast<size_t>(b * h.sequence + s)] * half;
      for (int64_t k = 0; k < half; ++k) {
        const T c = inputs[1]->data<T>()[static_cast<size_t>(row + k)],
                w = inputs[2]->data<T>()[static_cast<size_t>(row + k)];
        T& x1 = to[interleaved ? 2 * k : k];
        T& x2 = to[interleaved ? 2 * k + 1 : k + half];
        const T real = c * x1 - w * x2, imag = w * x1 + c * x2;
        x1 = real, x2 = imag;
      }
    }
    return one(std::move(y));
  });
}

}  // namespace narrow::runtime::reference
