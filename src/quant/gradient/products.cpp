#include "quant/gradient/products.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/layout/transpose.h"

namespace narrow::quant::gradient {

using kernels::ConvCandidate;
using kernels::ConvShape;
using kernels::ConvSpec;

namespace {

ConvSpec spec_of(const ConvShape& shape, bool bias, const kernels::Activation& activation) {
  ConvSpec spec;
  spec.shape = shape;
  spec.bias = bias;
  spec.activation = activation;
  return spec;
}

const ConvCandidate* choose(const ConvSpec& spec, Isa isa) {
  for (const ConvCandidate& candidate : kernels::conv_candidates())
    if (includes(isa, candidate.isa) && candidate.unsupported(spec).empty()) return &candidate;
  NARROW_CHECK(false);  // the plain kernel takes every FP32 convolution
  return nullptr;
}

}  // namespace

void turn_matrix(const float* src, int64_t rows, int64_t columns, float* dst, int64_t dst_pitch, Isa isa,
                 ThreadPool& pool) {
  constexpr int64_t kBlock = 64;
  const int64_t row_blocks = div_up(rows, kBlock);
  parallel_for(pool, row_blocks, std::max<int64_t>(1, 16384 / (kBlock * columns)),
               [&](int64_t begin, int64_t end) {
                 const int64_t first = begin * kBlock, last = std::min(rows, end * kBlock);
                 const kernels::TransposeTile tile{reinterpret_cast<const uint8_t*>(src + first * columns),
                                                   reinterpret_cast<uint8_t*>(dst + first),
                                                   columns,
                                                   dst_pitch,
                                                   last - first,
                                                   columns};
                 (isa >= Isa::avx512 ? kernels::transpose_avx512 : kernels::transpose_plain)(4, tile);
               });
}

// ---------------------------------------------------------------- forward

FreshConv::FreshConv(const ConvShape& shape, bool bias, const kernels::Activation& activation, Isa isa,
                     int threads)
    : spec_(spec_of(shape, bias, activation)), candidate_(choose(spec_, isa)), threads_(threads) {}

void FreshConv::run(const float* x, const float* w, const float* bias, float* y, ThreadPool& pool) {
  const auto packed = candidate_->pack(spec_, {.weights = w, .bias = bias});
  const auto kernel = candidate_->create(spec_, packed, threads_);
  if (scratch_.bytes() < kernel->scratch_bytes()) scratch_ = AlignedBuffer(kernel->scratch_bytes());
  kernel->run({.src = x, .residual = nullptr, .dst = y, .scratch = scratch_.data()}, pool);
}

// ---------------------------------------------------------------- input

namespace {

/// The convolution over dy (spread out) that gives dx; a 1x1 window works on dy as it is.
ConvShape turned_shape(const ConvShape& f) {
  ConvShape s = f;
  s.c = f.oc, s.oc = f.c, s.stride_h = s.stride_w = 1;
  s.pad_top = f.dilation_h * (f.kh - 1) - f.pad_top, s.pad_left = f.dilation_w * (f.kw - 1) - f.pad_left;
  s.h = (f.oh - 1) * f.stride_h + 1, s.w = (f.ow - 1) * f.stride_w + 1;
  s.oh = f.h, s.ow = f.w;
  return s;
}

bool skips_pixels(const ConvShape& f) { return f.stride_h > 1 || f.stride_w > 1; }

bool is_subsampled_pointwise(const ConvShape& f) {
  return skips_pixels(f) && f.kh == 1 && f.kw == 1 && f.pad_top == 0 && f.pad_left == 0;
}

ConvShape input_gradient_shape(const ConvShape& f) {
  ConvShape s = turned_shape(f);
  if (is_subsampled_pointwise(f)) s.h = s.oh = f.oh, s.w = s.ow = f.ow;
  return s;
}

}  // namespace

std::string InputGradient::unsupported(const ConvShape& f) {
  const ConvShape s = turned_shape(f);
  if (s.pad_top < 0 || s.pad_left < 0)
    return fmt::format("pads {} and {}: wants less than the window", f.pad_top, f.pad_left);
  return "";
}

InputGradient::InputGradient(const ConvShape& forward, Isa isa, int threads)
    : forward_(forward),
      shape_(input_gradient_shape(forward)),
      isa_(isa),
      conv_(shape_, false, {}, isa, threads),
      turned_(forward.oc * (forward.c / forward.groups) * forward.kh * forward.kw * 4) {
  if (is_subsampled_pointwise(forward))
    spread_ = AlignedBuffer(shape_.n * shape_.oh * shape_.ow * shape_.oc * 4);
  else if (skips_pixels(forward))
    spread_ = AlignedBuffer::zeroed(shape_.n * shape_.h * shape_.w * shape_.c * 4);
}

void InputGradient::run(const float* dy, const float* w, float* dx, ThreadPool& pool) {
  const ConvShape& f = forward_;
  const float* turned = turn(w, pool);
  if (is_subsampled_pointwise(f)) {
    conv_.run(dy, turned, nullptr, spread_.as<float>(), pool);
    std::memset(dx, 0, static_cast<size_t>(f.n * f.h * f.w * f.c) * sizeof(float));
    spread(spread_.as<float>(), dx, f.h, f.w, f.c, pool);
  } else if (skips_pixels(f)) {
    spread(dy, spread_.as<float>(), shape_.h, shape_.w, f.oc, pool);
    conv_.run(spread_.as<float>(), turned, nullptr, dx, pool);
  } else {
    conv_.run(dy, turned, nullptr, dx, pool);
  }
}

/// Pixels [n, oh, ow] of src to every stride-th pixel of dst [n, height, width].
void InputGradient::spread(const float* src, float* dst, int64_t height, int64_t width, int64_t channels,
                           ThreadPool& pool) const {
  const ConvShape& f = forward_;
  parallel_for(pool, f.n * f.oh, std::max<int64_t>(1, 16384 / (f.ow * channels)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   float* line = dst + (row / f.oh * height + row % f.oh * f.stride_h) * width * channels;
                   for (int64_t x = 0; x < f.ow; ++x)
                     std::memcpy(line + x * f.stride_w * channels, src + (row * f.ow + x) * channels,
                                 static_cast<size_t>(channels) * sizeof(float));
                 }
               });
}

/// [groups][oc][c][kh][kw] -> [groups][c][oc][kh][kw], windows turned by half a turn.
const float* InputGradient::turn(const float* w, ThreadPool& pool) {
  const ConvShape& f = forward_;
  const int64_t taps = f.kh * f.kw, group_c = f.c / f.groups, group_oc = f.oc / f.groups;
  auto* out = turned_.as<float>();
  if (taps == 1 && f.groups == 1) {
    turn_matrix(w, f.oc, f.c, out, f.oc, isa_, pool);
    return out;
  }
  const int64_t grain = std::max<int64_t>(1, 8192 / (group_oc * taps));
  parallel_for(pool, f.c, grain, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      for (int64_t o = 0; o < group_oc; ++o) {
        const float* from = w + ((c / group_c * group_oc + o) * group_c + c % group_c) * taps;
        float* to = out + (c * group_oc + o) * taps;
        for (int64_t t = 0; t < taps; ++t) to[taps - 1 - t] = from[t];
      }
  });
  return out;
}

}  // namespace narrow::quant::gradient
