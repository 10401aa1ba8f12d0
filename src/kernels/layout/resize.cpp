#include "kernels/layout/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/aligned.h"
#include "kernels/lanes/element.h"
#include "kernels/layout/resize_taps.h"

namespace narrow::kernels {
namespace {

float source_coordinate(const ResizeSpec& spec, int64_t x, int64_t in, int64_t out, float scale) {
  const auto at = static_cast<float>(x);
  switch (spec.coordinates) {
    case ResizeCoordinates::half_pixel:
      return (at + 0.5F) / scale - 0.5F;
    case ResizeCoordinates::pytorch_half_pixel:
      return out > 1 ? (at + 0.5F) / scale - 0.5F : 0.0F;
    case ResizeCoordinates::asymmetric:
      return at / scale;
    case ResizeCoordinates::align_corners:
      break;
  }
  return out > 1 ? at * static_cast<float>(in - 1) / static_cast<float>(out - 1) : 0.0F;
}

float nearest_index(ResizeNearest mode, float x) {
  switch (mode) {
    case ResizeNearest::round_prefer_floor:
      return std::ceil(x - 0.5F);
    case ResizeNearest::round_prefer_ceil:
      return std::floor(x + 0.5F);
    case ResizeNearest::floor:
      return std::floor(x);
    case ResizeNearest::ceil:
      break;
  }
  return std::ceil(x);
}

/// An output row, nearest: pixels are copied; linear: every pixel from its four neighbours.
void resize_row(const ResizeSpec& s, const ResizeTap* rows, const ResizeTap* columns, const uint8_t* image,
                uint8_t* dst, int64_t y, Isa isa) {
  const int64_t pixel_bytes = s.c * bytes_of(s.type);
  const uint8_t* top = image + rows[y].low * s.w * pixel_bytes;
  const uint8_t* bottom = image + rows[y].high * s.w * pixel_bytes;
  for (int64_t x = 0; x < s.ow; ++x) {
    const int64_t left = columns[x].low * pixel_bytes, right = columns[x].high * pixel_bytes;
    uint8_t* pixel = dst + x * pixel_bytes;
    if (s.mode == ResizeMode::nearest) {
      std::memcpy(pixel, top + left, static_cast<size_t>(pixel_bytes));
      continue;
    }
    const LerpPixel lerp{
        {top + left, top + right, bottom + left, bottom + right}, columns[x].fraction, rows[y].fraction, s.c};
    (isa >= Isa::avx512 ? lerp_avx512 : lerp_plain)(s.type, lerp, pixel);
  }
}

}  // namespace

void resize_taps(const ResizeSpec& spec, int64_t in, int64_t out, float scale, ResizeTap* taps) {
  const auto last = static_cast<float>(in - 1);
  for (int64_t i = 0; i < out; ++i) {
    const float x = source_coordinate(spec, i, in, out, scale);
    const float at = spec.mode == ResizeMode::nearest ? nearest_index(spec.nearest, x) : x;
    const float bounded = at > 0 ? std::min(at, last) : 0.0F;  // NaN too
    const auto low = std::min(static_cast<int64_t>(bounded), in - 1);
    taps[i] = {low, std::min(low + 1, in - 1), bounded - static_cast<float>(low)};
  }
}

void lerp_plain(DType type, const LerpPixel& p, void* dst) {
  const Format stored{type, {1, 0}};
  for (int64_t c = 0; c < p.channels; ++c) {
    float v[4];
    for (int i = 0; i < 4; ++i) v[i] = load_real(stored, p.corner[i], c);
    const float top = std::fma(v[1] - v[0], p.along_w, v[0]), bottom = std::fma(v[3] - v[2], p.along_w, v[2]);
    store_real(stored, dst, c, std::fma(bottom - top, p.along_h, top));
  }
}

int64_t resize_scratch_bytes(const ResizeSpec& spec) {
  return round_up((spec.oh + spec.ow) * static_cast<int64_t>(sizeof(ResizeTap)), kCacheLine);
}

void resize(const ResizeSpec& spec, const void* src, void* dst, void* scratch, Isa isa, ThreadPool& pool) {
  if (spec.n * spec.oh * spec.ow * spec.c == 0) return;
  auto* rows = static_cast<ResizeTap*>(scratch);
  ResizeTap* columns = rows + spec.oh;
  resize_taps(spec, spec.h, spec.oh, spec.scale_h, rows);
  resize_taps(spec, spec.w, spec.ow, spec.scale_w, columns);
  const int64_t pixel_bytes = spec.c * bytes_of(spec.type);
  const int64_t grain = std::max<int64_t>(1, (64 << 10) / (spec.ow * pixel_bytes));
  parallel_for(pool, spec.n * spec.oh, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const uint8_t* image = static_cast<const uint8_t*>(src) + r / spec.oh * spec.h * spec.w * pixel_bytes;
      resize_row(spec, rows, columns, image, static_cast<uint8_t*>(dst) + r * spec.ow * pixel_bytes,
                 r % spec.oh, isa);
    }
  });
}

}  // namespace narrow::kernels
