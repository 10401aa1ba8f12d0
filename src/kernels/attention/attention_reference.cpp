#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/lanes/element.h"

namespace narrow::kernels {

void attention_reference(const AttentionSpec& s, const AttentionBuffers& buffers) {
  const auto at = [](const AttentionStrides& st, int64_t b, int64_t h, int64_t r) {
    return b * st.batch + h * st.head + r * st.row;
  };
  std::vector<double> p(static_cast<size_t>(s.kv_len));
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t i = 0; i < s.q_len; ++i) {
        const int64_t g = h / (s.heads / s.kv_heads), q0 = at(s.q_strides, b, h, i);
        const int64_t seen = s.causal ? std::clamp<int64_t>(i + s.causal_offset + 1, 0, s.kv_len) : s.kv_len;
        double largest = -std::numeric_limits<double>::infinity(), sum = 0;
        for (int64_t j = 0; j < seen; ++j) {
          double score = 0;
          for (int64_t d = 0; d < s.head_dim; ++d)
            score += static_cast<double>(load_real(s.q, buffers.q, q0 + d)) *
                     load_real(s.k, buffers.k, at(s.k_strides, b, g, j) + d);
          score *= s.scale;
          if (s.mask)
            score += buffers.mask[b * s.mask_batch + h * s.mask_head + i * s.mask_row + j * s.mask_column];
          p[static_cast<size_t>(j)] = score;
          largest = std::max(largest, score);
        }
        for (int64_t j = 0; j < seen; ++j) {
          double& e = p[static_cast<size_t>(j)];
          e = std::isinf(largest) ? 0 : std::exp(e - largest);
          sum += e;
        }
        for (int64_t d = 0; d < s.v_dim; ++d) {
          double out = 0;
          for (int64_t j = 0; j < seen; ++j)
            out += p[static_cast<size_t>(j)] *
                   static_cast<double>(load_real(s.v, buffers.v, at(s.v_strides, b, g, j) + d));
          store_real(s.dst, buffers.dst, at(s.dst_strides, b, h, i) + d,
                     sum > 0 ? static_cast<float>(out / sum) : 0.0F);
        }
      }
}

}  // namespace narrow::kernels
