// com.microsoft.MatMulNBits:  Y[m,n] = sum over k of A[m,k] * (code[n,k] - zero_point[n,k/block]) *
// scale[n,k/block] + bias. Codes of `bits` bits lie little end first in B [N, blocks, block * bits / 8];
// packed zero points likewise per row of N; absent, they are 2^(bits - 1).
#include <fmt/format.h>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// Code i of a row of packed bytes.
int code_at(const uint8_t* row, int64_t i, int64_t bits) {
  const int64_t per_byte = 8 / bits;
  return (row[i / per_byte] >> (i % per_byte * bits)) & ((1 << bits) - 1);
}

}  // namespace

Outputs eval_matmul_nbits(const ir::Node& node, Inputs inputs) {
  const Tensor &a = *inputs[0], &b = *inputs[1], &scales = *inputs[2];
  const Tensor *zeros = optional_input(inputs, 3), *bias = optional_input(inputs, 5);
  const int64_t k = node.int_attr("K", 0), n = node.int_attr("N", 0), bits = node.int_attr("bits", 4),
                block = node.int_attr("block_size", 0);
  if (optional_input(inputs, 4) != nullptr) return unsupported(node, "blocks in order", "g_idx");
  if (k < 1 || n < 1 || (bits != 2 && bits != 4 && bits != 8) || block < 16 || block > (int64_t{1} << 20) ||
      a.rank() < 1 || a.shape().back() != k)
    return invalid(node, fmt::format("A [..., {}], bits 2, 4 or 8, block_size from 16 on", k),
                   to_string(a.shape()));
  const int64_t blocks = (k + block - 1) / block, bytes = block * bits / 8,
                zero_bytes = (blocks * bits + 7) / 8;
  if (b.dtype() != DType::u8 || b.elements() / bytes / blocks != n || b.elements() != n * blocks * bytes ||
      scales.elements() != n * blocks || (bias != nullptr && bias->elements() != n))
    return invalid(node, fmt::format("B [{}, {}, {}] and a scale per block", n, blocks, bytes),
                   to_string(b.shape()));
  const bool packed = zeros != nullptr && zeros->dtype() == DType::u8;
  if (zeros != nullptr && zeros->elements() != n * (packed ? zero_bytes : blocks))
    return invalid(node, "a zero point per block", to_string(zeros->shape()));
  Shape shape = a.shape();
  shape.back() = n;
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, shape));
  const std::vector<double> x = to_doubles(a), scale = to_doubles(scales),
                            zero = zeros != nullptr && !packed ? to_doubles(*zeros) : std::vector<double>(),
                            add = bias != nullptr ? to_doubles(*bias)
                                                  : std::vector<double>(static_cast<size_t>(n), 0);
  const uint8_t* codes = b.data<uint8_t>().data();
  std::vector<double> row(static_cast<size_t>(k));
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = 0; i < k; ++i) {
      const int64_t at = j * blocks + i / block;
      double z = static_cast<double>(1 << (bits - 1));
      if (packed) z = code_at(zeros->data<uint8_t>().data() + j * zero_bytes, i / block, bits);
      if (!zero.empty()) z = zero[static_cast<size_t>(at)];
      row[static_cast<size_t>(i)] =
          (code_at(codes + at * bytes, i % block, bits) - z) * scale[static_cast<size_t>(at)];
    }
    for (int64_t m = 0; m < a.elements() / k; ++m) {
      double sum = add[static_cast<size_t>(j)];
      for (int64_t i = 0; i < k; ++i) sum += x[static_cast<size_t>(m * k + i)] * row[static_cast<size_t>(i)];
      y.mutable_data<double>()[static_cast<size_t>(m * n + j)] = sum;
    }
  }
  return one(cast(y, a.dtype()));
}

}  // namespace narrow::runtime::reference
