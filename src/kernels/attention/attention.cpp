// Each thread takes a stretch of blocks (batch, key-value head, query head, rows). It packs keys and values
// of a head once and keeps them for all blocks of that head; per block:  scores = q x k^T;  exp row by row;
// out = scores x v / sum.
#include "kernels/attention/attention.h"

#include <algorithm>

#include "base/aligned.h"
#include "kernels/attention/row.h"
#include "kernels/lanes/lanes.h"
#include "kernels/matmul/tile.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kScoreBytes = 256 << 10;  // scores of a block: a part of L2, beside keys and values

bool widens(DType type) { return type == DType::f32 || type == DType::f16; }

/// Sizes and offsets (bytes) of one thread's scratch.
struct Workspace {
  bool amx;
  int64_t rows;                 // of a block
  int64_t depth, keys, values;  // head_dim, kv_len, v_dim as padded: pitches of q, scores, out
  int64_t k_panel, v_panel;     // bytes of a packed panel
  int64_t k, v, staged, q, scores, p, out, mask, total;
};

Workspace workspace_of(const AttentionSpec& s, Isa isa) {
  Workspace w{};
  w.amx = isa >= Isa::amx && !widens(s.q.type) && !widens(s.k.type) && !widens(s.v.type);
  const int64_t unit = w.amx ? kAmxDepth : kPanel, panel = w.amx ? kAmxPanel : kPanel, bytes = w.amx ? 2 : 4;
  w.depth = w.amx ? round_up(s.head_dim, kAmxDepth) : s.head_dim;
  w.keys = round_up(s.kv_len, unit);
  w.values = round_up(s.v_dim, unit);
  const int64_t fitting = kScoreBytes / std::max<int64_t>(1, w.keys * 4) / kTileRows * kTileRows;
  w.rows = w.amx ? 32 : std::clamp<int64_t>(fitting, kTileRows, 8 * kTileRows);
  w.k_panel = w.depth * panel * bytes;
  w.v_panel = (w.amx ? w.keys : s.kv_len) * panel * bytes;
  int64_t end = 0;
  const auto take = [&](int64_t& at, int64_t size) { at = end, end += round_up(size, kCacheLine); };
  take(w.k, w.keys / panel * w.k_panel);
  take(w.v, w.values / panel * w.v_panel);
  take(w.staged, w.amx ? s.kv_len * std::max(s.head_dim, s.v_dim) * 2 : 0);
  take(w.q, w.rows * w.depth * bytes);
  take(w.scores, w.rows * w.keys * 4);
  take(w.p, w.amx ? w.rows * w.keys * 2 : 0);
  take(w.out, w.rows * w.values * 4);
  take(w.mask, s.kv_len * 4);
  w.total = end;
  return w;
}

MatrixView rows_of(const Format& format, const void* data, const AttentionStrides& st, int64_t b, int64_t h,
                   int64_t rows, int64_t columns) {
  const auto* first =
      static_cast<const uint8_t*>(data) + (b * st.batch + h * st.head) * bytes_of(format.type);
  return {format, first, rows, columns, st.row, 1};
}

MatrixView turned(const MatrixView& m) {
  return {m.format, m.data, m.columns, m.rows, m.column_stride, m.row_stride};
}

class Worker {
 public:
  Worker(const AttentionSpec& spec, const AttentionBuffers& buffers, const Workspace& w, uint8_t* memory,
         Isa isa)
      : s_(spec), b_(buffers), w_(w), memory_(memory), isa_(isa) {}

  /// Keys and values of one head, packed as right operands.
  void pack(int64_t batch, int64_t kv_head) const {
    MatrixView k = rows_of(s_.k, b_.k, s_.k_strides, batch, kv_head, s_.kv_len, s_.head_dim);
    MatrixView v = rows_of(s_.v, b_.v, s_.v_strides, batch, kv_head, s_.kv_len, s_.v_dim);
    if (!w_.amx) {
      for (int64_t j = 0; j < s_.kv_len; j += kPanel)
        pack_panel_f32(turned(k), j, at<float>(w_.k + j / kPanel * w_.k_panel), isa_);
      for (int64_t d = 0; d < s_.v_dim; d += kPanel)
        pack_panel_f32(v, d, at<float>(w_.v + d / kPanel * w_.v_panel), isa_);
      return;
    }
    k = as_bf16(k);
    for (int64_t j = 0; j < w_.keys; j += kAmxPanel)
      panel_bf16(turned(k), j, w_.k + j / kAmxPanel * w_.k_panel, w_.k_panel);
    v = as_bf16(v);
    for (int64_t d = 0; d < w_.values; d += kAmxPanel)
      panel_bf16(v, d, w_.v + d / kAmxPanel * w_.v_panel, w_.v_panel);
  }

  /// Query rows [first, first + rows) of one head.
  void block(int64_t batch, int64_t head, int64_t first) const {
    const int64_t rows = std::min(w_.rows, s_.q_len - first), keys = visible(first + rows - 1);
    const MatrixView q = rows_of(s_.q, b_.q, s_.q_strides, batch, head, s_.q_len, s_.head_dim);
    if (w_.amx) {
      pack_rows_bf16(q, first, first + rows, at<uint16_t>(w_.q), w_.depth, isa_);
      multiply_amx(at<uint16_t>(w_.q), w_.depth, w_.k, w_.k_panel, w_.depth, keys, rows, at<float>(w_.scores),
                   w_.keys);
    } else {
      pack_rows_f32(q, first, first + rows, at<float>(w_.q), w_.depth, isa_);
      multiply_f32(at<float>(w_.q), w_.depth, w_.k, w_.k_panel, s_.head_dim, keys, rows, at<float>(w_.scores),
                   w_.keys);
    }
    float inverse[8 * kTileRows];
    for (int64_t i = 0; i < rows; ++i) inverse[i] = softmax_row(batch, head, first + i, i, keys);
    if (w_.amx)
      multiply_amx(at<uint16_t>(w_.p), w_.keys, w_.v, w_.v_panel, round_up(keys, kAmxDepth), s_.v_dim, rows,
                   at<float>(w_.out), w_.values);
    else
      multiply_f32(at<float>(w_.scores), w_.keys, w_.v, w_.v_panel, keys, s_.v_dim, rows, at<float>(w_.out),
                   w_.values);
    for (int64_t i = 0; i < rows; ++i) {
      float* out = at<float>(w_.out) + i * w_.values;
      for (int64_t d = 0; d < s_.v_dim; ++d) out[d] *= inverse[i];
      const int64_t to =
          batch * s_.dst_strides.batch + head * s_.dst_strides.head + (first + i) * s_.dst_strides.row;
      store_run(s_.dst, out, b_.dst, to, s_.v_dim, isa_);
    }
  }

 private:
  template <class T>
  T* at(int64_t offset) const {
    return reinterpret_cast<T*>(memory_ + offset);
  }

  int64_t visible(int64_t row) const {
    return s_.causal ? std::clamp<int64_t>(row + s_.causal_offset + 1, 0, s_.kv_len) : s_.kv_len;
  }

  MatrixView as_bf16(const MatrixView& m) const {
    if (m.format.type == DType::bf16) return m;
    pack_rows_bf16(m, 0, m.rows, at<uint16_t>(w_.staged), m.columns, isa_);
    return {{DType::bf16, {}}, at<uint16_t>(w_.staged), m.rows, m.columns, m.columns, 1};
  }

  void panel_bf16(const MatrixView& m, int64_t first, int64_t offset, int64_t bytes) const {
    if (first < m.columns)
      pack_panel_bf16(m, first, at<uint16_t>(offset), isa_);
    else
      std::fill(memory_ + offset, memory_ + offset + bytes, uint8_t{0});  // pads the last pair of tiles
  }

  void multiply_f32(const float* a, int64_t a_row, int64_t b, int64_t panel, int64_t depth, int64_t columns,
                    int64_t rows, float* c, int64_t c_row) const {
    for (int64_t j = 0; j < columns; j += kPanel)
      for (int64_t i = 0; i < rows; i += kTileRows)
        tile_f32({a + i * a_row, a_row, at<float>(b + j / kPanel * panel), depth, c + i * c_row + j, c_row,
                  std::min(kTileRows, rows - i), std::min(kPanel, columns - j), 1.0F},
                 isa_);
  }

  /// Whole tiles: rows and columns beyond the live ones are computed from whatever lies there and not looked
  /// at.
  void multiply_amx(const uint16_t* a, int64_t a_row, int64_t b, int64_t panel, int64_t depth,
                    int64_t columns, int64_t rows, float* c, int64_t c_row) const {
    for (int64_t j = 0; j < columns; j += 2 * kAmxPanel)
      tile_bf16_amx({a, a_row, at<uint16_t>(b + j / kAmxPanel * panel), depth, c + j, c_row,
                     rows > 16 ? 2 : 1, 2, panel / 2});
  }

  /// Turns row i of the block's scores into exponentials, zero for keys it does not see; returns 1 / their
  /// sum.
  float softmax_row(int64_t batch, int64_t head, int64_t row, int64_t i, int64_t keys) const {
    float* scores = at<float>(w_.scores) + i * w_.keys;
    const int64_t seen = visible(row), end = w_.amx ? round_up(keys, kAmxDepth) : keys;
    const auto kernel = isa_ >= Isa::avx512 ? attention_row_avx512
                        : isa_ >= Isa::avx2 ? attention_row_avx2
                                            : attention_row_plain;
    const float sum = kernel(scores, seen, s_.scale, mask_row(batch, head, row, seen));
    std::fill(scores + seen, scores + end, 0.0F);
    if (w_.amx) store_run({DType::bf16, {}}, scores, memory_ + w_.p, i * w_.keys, end, isa_);
    return sum > 0 ? 1.0F / sum : sum;  // a NaN stays one
  }

  const float* mask_row(int64_t batch, int64_t head, int64_t row, int64_t n) const {
    if (!s_.mask) return nullptr;
    const float* mask = b_.mask + batch * s_.mask_batch + head * s_.mask_head + row * s_.mask_row;
    if (s_.mask_column == 1) return mask;
    float* gathered = at<float>(w_.mask);
    for (int64_t j = 0; j < n; ++j) gathered[j] = mask[j * s_.mask_column];
    return gathered;
  }

  const AttentionSpec& s_;
  const AttentionBuffers& b_;
  const Workspace& w_;
  uint8_t* memory_;
  Isa isa_;
};

}  // namespace

int64_t attention_scratch_bytes(const AttentionSpec& spec, Isa isa, int threads) {
  return workspace_of(spec, isa).total * threads;
}

void attention(const AttentionSpec& spec, const AttentionBuffers& buffers, Isa isa, ThreadPool& pool) {
  const Workspace w = workspace_of(spec, isa);
  const int64_t heads_per_kv = spec.heads / spec.kv_heads, row_blocks = div_up(spec.q_len, w.rows);
  const int64_t blocks_per_kv = heads_per_kv * row_blocks,
                blocks = spec.batch * spec.kv_heads * blocks_per_kv;
  if (blocks == 0 || spec.v_dim == 0) return;
  const int64_t share = div_up(blocks, pool.threads());
  parallel_for(pool, blocks, share, [&](int64_t begin, int64_t end) {
    const Worker worker(spec, buffers, w, static_cast<uint8_t*>(buffers.scratch) + begin / share * w.total,
                        isa);
    if (w.amx) amx_begin();
    int64_t packed = -1;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t kv = u / blocks_per_kv, batch = kv / spec.kv_heads, kv_head = kv % spec.kv_heads;
      if (kv != packed) worker.pack(batch, kv_head);
      packed = kv;
      const int64_t head = kv_head * heads_per_kv + u % blocks_per_kv / row_blocks;
      worker.block(batch, head, u % row_blocks * w.rows);
    }
    if (w.amx) amx_end();
  });
}

}  // namespace narrow::kernels
