// dw = dy' x patches(x), patches packed a panel of 64 columns by 128 pixels at a time, which stays in L1
// while every tile of 6 output channels multiplies it. Depthwise: sums of products channel by channel.
#include <algorithm>
#include <cstring>

#include "kernels/gradient/gradient.h"
#include "kernels/layout/transpose.h"
#include "kernels/matmul/tile.h"
#include "quant/gradient/products.h"

namespace narrow::quant::gradient {
namespace {

using kernels::kPanel;
using kernels::kTileRows;

constexpr int64_t kDepth = 128;       // pixels of a packed panel: 32 KiB
constexpr int64_t kTasks = 16;        // wanted at least, so that some machine's threads all have work
constexpr int64_t kLeastDepth = 512;  // pixels of a part: sums of parts must be added and must not cost much

}  // namespace

WeightGradient::WeightGradient(const kernels::ConvShape& forward, Isa isa)
    : shape_(forward),
      isa_(isa),
      pixels_(forward.n * forward.oh * forward.ow),
      group_c_(forward.c / forward.groups),
      group_oc_(forward.oc / forward.groups),
      taps_(forward.kh * forward.kw),
      panels_(div_up(group_c_ * taps_, kPanel)) {
  const auto& s = shape_;
  if (s.is_depthwise()) {
    parts_ = std::clamp<int64_t>(s.n * s.oh / 4, 1, kTasks);
    sums_ = AlignedBuffer(parts_ * taps_ * s.c * 4);
    return;
  }
  const int64_t most = std::max<int64_t>(1, pixels_ / kLeastDepth);
  parts_ = std::clamp<int64_t>(kTasks / (s.groups * panels_), 1, most);
  for (int64_t p = 0; p < panels_; ++p) {
    segments_.emplace_back();
    const int64_t end = std::min((p + 1) * kPanel, group_c_ * taps_);
    for (int64_t at = p * kPanel; at < end;) {
      const int64_t tap = at / group_c_, channel = at % group_c_,
                    length = std::min(group_c_ - channel, end - at);
      segments_.back().push_back({tap / s.kw, tap % s.kw, channel, length, at - p * kPanel});
      at += length;
    }
  }
  pitch_ = round_up(pixels_, 16) + 16;  // a power of two would put every row into the same cache set
  turned_ = AlignedBuffer(s.oc * pitch_ * 4);
  sums_ = AlignedBuffer(parts_ * s.groups * panels_ * group_oc_ * kPanel * 4);
}

void WeightGradient::run(const float* x, const float* dy, float* dw, ThreadPool& pool) {
  shape_.is_depthwise() ? run_depthwise(x, dy, dw, pool) : run_dense(x, dy, dw, pool);
}

// ---------------------------------------------------------------- depthwise

void WeightGradient::run_depthwise(const float* x, const float* dy, float* dw, ThreadPool& pool) {
  const auto& s = shape_;
  auto* sums = sums_.as<float>();
  const int64_t size = taps_ * s.c;
  pool.run(parts_, [&](int64_t i) {
    std::memset(sums + i * size, 0, static_cast<size_t>(size) * sizeof(float));
    const Range rows = part(s.n * s.oh, i);
    for (int64_t row = rows.begin; row < rows.end; ++row) depthwise_row(x, dy, row, sums + i * size);
  });
  for (int64_t c = 0; c < s.c; ++c)
    for (int64_t t = 0; t < taps_; ++t) {
      double sum = 0;
      for (int64_t i = 0; i < parts_; ++i) sum += static_cast<double>(sums[i * size + t * s.c + c]);
      dw[c * taps_ + t] = static_cast<float>(sum);
    }
}

void WeightGradient::depthwise_row(const float* x, const float* dy, int64_t row, float* sums) const {
  const auto& s = shape_;
  for (int64_t t = 0; t < taps_; ++t) {
    const int64_t y = row % s.oh * s.stride_h - s.pad_top + t / s.kw * s.dilation_h;
    const int64_t shift = t % s.kw * s.dilation_w - s.pad_left;  // x = ox * stride + shift
    if (y < 0 || y >= s.h) continue;
    const int64_t first = shift < 0 ? div_up(-shift, s.stride_w) : 0;
    const int64_t end = shift >= s.w ? first : std::min(s.ow, (s.w - 1 - shift) / s.stride_w + 1);
    if (first >= end) continue;
    kernels::column_products(
        {x + ((row / s.oh * s.h + y) * s.w + first * s.stride_w + shift) * s.c, s.stride_w * s.c,
         dy + (row * s.ow + first) * s.c, s.c, end - first, s.c, sums + t * s.c},
        isa_);
  }
}

// ---------------------------------------------------------------- dense and grouped

void WeightGradient::run_dense(const float* x, const float* dy, float* dw, ThreadPool& pool) {
  const auto& s = shape_;
  turn(dy, pool);
  pool.run(parts_ * s.groups * panels_, [&](int64_t task) {
    alignas(64) float panel[kDepth * kPanel];
    alignas(64) float tile[kTileRows * kPanel];
    add_products(x, task, panel, tile);
  });
  const auto* sums = sums_.as<float>();
  const int64_t size = s.groups * panels_ * group_oc_ * kPanel;
  parallel_for(pool, s.oc, std::max<int64_t>(1, 8192 / (group_c_ * taps_)), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      for (int64_t c = 0; c < group_c_; ++c)
        for (int64_t t = 0; t < taps_; ++t) {
          const int64_t column = t * group_c_ + c, panel = o / group_oc_ * panels_ + column / kPanel;
          const int64_t at = (panel * group_oc_ + o % group_oc_) * kPanel + column % kPanel;
          float sum = sums[at];
          for (int64_t i = 1; i < parts_; ++i) sum += sums[i * size + at];
          dw[(o * group_c_ + c) * taps_ + t] = sum;
        }
  });
}

void WeightGradient::turn(const float* dy, ThreadPool& pool) {
  constexpr int64_t kRows = 256;
  const int64_t oc = shape_.oc;
  parallel_for(pool, pixels_, kRows, [&](int64_t begin, int64_t end) {
    const kernels::TransposeTile tile{reinterpret_cast<const uint8_t*>(dy + begin * oc),
                                      reinterpret_cast<uint8_t*>(turned_.as<float>() + begin),
                                      oc,
                                      pitch_,
                                      end - begin,
                                      oc};
    (isa_ >= Isa::avx512 ? kernels::transpose_avx512 : kernels::transpose_plain)(4, tile);
  });
}

/// One panel of one group over one part of the pixels.
void WeightGradient::add_products(const float* x, int64_t task, float* panel, float* tile) {
  const int64_t group = task / panels_ % shape_.groups;
  const auto& segments = segments_[static_cast<size_t>(task % panels_)];
  const int64_t columns = segments.back().column + segments.back().length;
  const Range all = part(pixels_, task / (panels_ * shape_.groups));
  float* sums = sums_.as<float>() + task * group_oc_ * kPanel;
  std::memset(sums, 0, static_cast<size_t>(group_oc_ * kPanel) * sizeof(float));
  for (int64_t first = all.begin; first < all.end; first += kDepth) {
    const Range pixels{first, std::min(all.end, first + kDepth)};
    pack(x, group, segments, pixels, panel);
    for (int64_t o = 0; o < group_oc_; o += kTileRows) {
      const int64_t rows = std::min(kTileRows, group_oc_ - o);
      kernels::tile_f32({turned_.as<float>() + (group * group_oc_ + o) * pitch_ + first, pitch_, panel,
                         pixels.end - first, tile, kPanel, rows, columns, 1.0F},
                        isa_);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < columns; ++j) sums[(o + r) * kPanel + j] += tile[r * kPanel + j];
    }
  }
}

void WeightGradient::pack(const float* x, int64_t group, const std::vector<Segment>& segments, Range pixels,
                          float* panel) const {
  const auto& s = shape_;
  for (int64_t p = pixels.begin; p < pixels.end; ++p, panel += kPanel) {
    const int64_t image = p / (s.oh * s.ow), oy = p / s.ow % s.oh, ox = p % s.ow;
    for (const Segment& segment : segments) {
      const int64_t y = oy * s.stride_h - s.pad_top + segment.ky * s.dilation_h,
                    column = ox * s.stride_w - s.pad_left + segment.kx * s.dilation_w;
      float* to = panel + segment.column;
      const auto bytes = static_cast<size_t>(segment.length) * sizeof(float);
      if (y < 0 || y >= s.h || column < 0 || column >= s.w)
        std::memset(to, 0, bytes);
      else
        std::memcpy(to, x + ((image * s.h + y) * s.w + column) * s.c + group * group_c_ + segment.channel,
                    bytes);
    }
  }
}

}  // namespace narrow::quant::gradient
