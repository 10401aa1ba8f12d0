// Cases for the tests of single convolution candidates: random operands of any type, a run, and float error
// bounds.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "kernels/conv/conv.h"
#include "kernels/requantize.h"

namespace narrow::kernels::testing_conv {

using Bytes = std::vector<uint8_t>;

inline void put(DType type, void* data, int64_t i, float x) {
  switch (type) {
    case DType::f32:
      static_cast<float*>(data)[i] = x;
      break;
    case DType::bf16:
      static_cast<bf16*>(data)[i] = bf16(x);
      break;
    case DType::f16:
      static_cast<f16*>(data)[i] = f16(x);
      break;
    case DType::s32:
      static_cast<int32_t*>(data)[i] = static_cast<int32_t>(x);
      break;
    case DType::u8:
      static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(x);
      break;
    default:
      static_cast<int8_t*>(data)[i] = static_cast<int8_t>(x);
  }
}

inline float get(DType type, const void* data, int64_t i) {
  switch (type) {
    case DType::f32:
      return static_cast<const float*>(data)[i];
    case DType::bf16:
      return static_cast<float>(static_cast<const bf16*>(data)[i]);
    case DType::f16:
      return static_cast<float>(static_cast<const f16*>(data)[i]);
    case DType::s32:
      return static_cast<float>(static_cast<const int32_t*>(data)[i]);
    case DType::u8:
      return static_cast<const uint8_t*>(data)[i];
    default:
      return static_cast<const int8_t*>(data)[i];
  }
}

/// Random bf16-exact numbers in [-1, 1], or the whole range of an integer type.
inline Bytes random_values(Random& random, DType type, int64_t n) {
  Bytes bytes(static_cast<size_t>(n * bytes_of(type)));
  for (int64_t i = 0; i < n; ++i) {
    float x = static_cast<float>(bf16(static_cast<float>(random.uniform(-1, 1))));
    if (type == DType::u8) x = static_cast<float>(random.integer(0, 255));
    if (type == DType::s8) x = static_cast<float>(random.integer(-128, 127));
    if (type == DType::s32) x = static_cast<float>(random.integer(-3000, 3000));
    put(type, bytes.data(), i, x);
  }
  return bytes;
}

struct Case {
  ConvSpec spec;
  Bytes src, weights, bias, residual;

  int64_t outputs() const { return spec.shape.n * spec.shape.oh * spec.shape.ow * spec.shape.oc; }
};

inline Case make_case(const ConvSpec& spec, uint64_t seed) {
  Random random(seed);
  const ConvShape& s = spec.shape;
  Case c{.spec = spec, .src = {}, .weights = {}, .bias = {}, .residual = {}};
  c.src = random_values(random, spec.src, s.n * s.h * s.w * s.c);
  c.weights = random_values(random, spec.weights, s.oc * (s.c / s.groups) * s.kh * s.kw);
  if (spec.bias) c.bias = random_values(random, is_int8(spec.src) ? DType::s32 : DType::f32, s.oc);
  if (spec.residual != DType::undefined) c.residual = random_values(random, spec.residual, c.outputs());
  return c;
}

inline Bytes reference(const Case& c, bool exact = false) {
  Bytes dst(static_cast<size_t>(c.outputs() * bytes_of(c.spec.dst)));
  conv_reference(c.spec, {c.weights.data(), c.bias.data()},
                 {.src = c.src.data(), .residual = c.residual.data(), .dst = dst.data()}, exact);
  return dst;
}

/// A copy of bytes that ends where an unreadable page begins: tile and masked loads escape the address
/// sanitizer.
class Guarded {
 public:
  explicit Guarded(size_t n, const uint8_t* bytes = nullptr) {
    size_ = (n + kPage - 1) / kPage * kPage + kPage;
    memory_ = static_cast<uint8_t*>(
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory_ + size_ - kPage, kPage, PROT_NONE);
    data_ = memory_ + size_ - kPage - n;
    if (bytes != nullptr) std::copy(bytes, bytes + n, data_);
  }
  ~Guarded() { munmap(memory_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  uint8_t* data() { return data_; }

 private:
  static constexpr size_t kPage = 4096;
  size_t size_ = 0;
  uint8_t *memory_ = nullptr, *data_ = nullptr;
};

/// Runs the candidate on guarded copies of the operands; scratch starts as NaN in any type.
inline Bytes run(const ConvCandidate& candidate, const Case& c, int threads, bool residual_is_dst = false) {
  EXPECT_EQ(candidate.unsupported(c.spec), "");
  const auto kernel =
      candidate.create(c.spec, candidate.pack(c.spec, {c.weights.data(), c.bias.data()}), threads);
  const auto dst_bytes = static_cast<size_t>(c.outputs() * bytes_of(c.spec.dst));
  const auto scratch_bytes = static_cast<size_t>(round_up(kernel->scratch_bytes(), kCacheLine));
  Guarded src(c.src.size(), c.src.data()), residual(c.residual.size(), c.residual.data());
  Guarded dst(dst_bytes, residual_is_dst ? c.residual.data() : nullptr), scratch(scratch_bytes);
  std::memset(scratch.data(), 0xff, scratch_bytes);
  ThreadPool pool(threads);
  kernel->run({src.data(), residual_is_dst ? dst.data() : residual.data(), dst.data(), scratch.data()}, pool);
  return {dst.data(), dst.data() + dst_bytes};
}

inline std::string text(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  std::string t = std::string(to_string(spec.src)) + "*" + to_string(spec.weights) + "->" +
                  to_string(spec.dst) + " residual " + to_string(spec.residual) + " act " +
                  to_string(spec.activation.kind) + " shape";
  for (const int64_t v : {s.n, s.h, s.w, s.c, s.oh, s.ow, s.oc, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_top,
                          s.pad_left, s.dilation_h, s.dilation_w, s.groups})
    t += " " + std::to_string(v);
  return t;
}

inline Bytes absolute(DType type, const Bytes& bytes) {
  Bytes r = bytes;
  for (int64_t i = 0; i < static_cast<int64_t>(bytes.size()) / bytes_of(type); ++i)
    put(type, r.data(), i, std::fabs(get(type, bytes.data(), i)));
  return r;
}

/// Half the distance between neighbours of x in the type: u * |x|, and what subnormals cost.
inline double half_ulp(DType type, double x) {
  if (type == DType::bf16) return std::fabs(x) * 0x1p-8 + 0x1p-126;
  if (type == DType::f16) return std::fabs(x) * 0x1p-11 + 0x1p-25;
  return std::fabs(x) * 0x1p-24;
}

/// Float sums of K products in any order differ from the exact ones by at most eps * (K + 8) * sum |a||b|,
/// bias and residual being two more summands; the activations used here stretch distances by at most 1.13
/// (gelu) and add 3e-7. `sums_in_one`: how many are added up in one; `left_out`: of every product.
inline void expect_near_reference(const Case& c, const Bytes& got, double sums_in_one = 1,
                                  double left_out = 0) {
  Case wide = c, sizes = c;
  wide.spec.dst = sizes.spec.dst = DType::f32;
  sizes.spec.activation = {};
  sizes.src = absolute(c.spec.src, c.src);
  sizes.weights = absolute(c.spec.weights, c.weights);
  if (c.spec.bias) sizes.bias = absolute(DType::f32, c.bias);
  if (is_float(c.spec.residual)) sizes.residual = absolute(c.spec.residual, c.residual);
  const Bytes exact = reference(wide, true), size = reference(sizes, true);
  const ConvShape& s = c.spec.shape;
  const int64_t depth = s.c / s.groups;
  const double terms = sums_in_one * static_cast<double>(s.kh * s.kw * depth) + 8;
  for (int64_t i = 0; i < c.outputs(); ++i) {
    const double want = get(DType::f32, exact.data(), i);
    double bound = (0x1p-23 * terms + left_out) * std::fabs(get(DType::f32, size.data(), i)) * 1.13 +
                   3e-7 * (1 + std::fabs(want));
    double distance = std::fabs(get(c.spec.dst, got.data(), i) - want);
    if (is_int8(c.spec.dst)) {
      // Steps of the grid; a sum on the other side of a rounding edge moves one step.
      const TensorQuant& q = c.spec.dst_quant;
      const double at_edge = std::floor(bound / q.scale) + 1;
      const int32_t low = c.spec.dst == DType::u8 ? 0 : -128;
      const int32_t ideal = requantize_real(static_cast<float>(want), q.scale, q.zero_point, low, low + 255);
      distance = std::fabs(get(c.spec.dst, got.data(), i) - ideal);
      bound = at_edge;
    } else {
      bound += half_ulp(c.spec.dst, std::fabs(want) + bound);
    }
    ASSERT_LE(distance, bound) << text(c.spec) << " at " << i << ": " << get(c.spec.dst, got.data(), i)
                               << " for " << want;
  }
}

/// oh and ow for "same"-like padding `pad` on every side.
inline ConvShape shape(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oc, int64_t kh, int64_t kw,
                       int64_t stride, int64_t pad, int64_t dilation = 1) {
  ConvShape s{.n = n, .h = h, .w = w, .c = c, .oc = oc, .kh = kh, .kw = kw};
  s.stride_h = s.stride_w = stride;
  s.pad_top = s.pad_left = pad;
  s.dilation_h = s.dilation_w = dilation;
  s.oh = (h + 2 * pad - (kh - 1) * dilation - 1) / stride + 1;
  s.ow = (w + 2 * pad - (kw - 1) * dilation - 1) / stride + 1;
  return s;
}

}  // namespace narrow::kernels::testing_conv
