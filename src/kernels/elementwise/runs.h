// The middle stage of element-wise kernels: one run of FP32 values in L1 (kernels/lanes/lanes.h), per ISA.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "kernels/elementwise/elementwise.h"

namespace narrow::kernels {

/// y[i] = f(x[i]); y may be x.
void unary_run(const UnaryFunction& function, const float* x, float* y, int64_t n, Isa isa);
/// False when the function has no vector form.
bool unary_run_avx2(const UnaryFunction& function, const float* x, float* y, int64_t n);
bool unary_run_avx512(const UnaryFunction& function, const float* x, float* y, int64_t n);

/// y[i] = op(a[i], b[i]), or with b_scale != null for add and sub: fma(+-b[i], *b_scale, a[i]). y may be a or
/// b.
void binary_run(Binary op, const float* a, const float* b, const float* b_scale, float* y, int64_t n,
                Isa isa);
bool binary_run_avx2(Binary op, const float* a, const float* b, const float* b_scale, float* y, int64_t n);
bool binary_run_avx512(Binary op, const float* a, const float* b, const float* b_scale, float* y, int64_t n);

/// Bytes in, bytes out in one pass: dst = store(clamp(op(real(a), real(b)), low, high)) for add and mul.
/// Signed types come as flip = 0x80 (their bytes with the top bit flipped are unsigned) and zero points +
/// 128.
struct ByteOperand {
  uint8_t flip;
  float scale, inverse;
  int32_t zero_point;
};
struct ByteBinary {
  Binary op;
  ByteOperand a, b, dst;
  float low, high;
};
void binary_bytes_avx512(const ByteBinary& spec, const uint8_t* a, const uint8_t* b, uint8_t* dst, int64_t n);

/// The same with a number beside each byte (the gates of channels): dst = store(clamp(real(a) * b, low,
/// high)).
void scale_bytes_avx512(const ByteBinary& spec, const uint8_t* a, const float* b, uint8_t* dst, int64_t n);

/// dst[i] = table[src[i]] for one-byte entries, `rows` times n of them.
void lookup_bytes_avx512vnni(const uint8_t* table, const uint8_t* src, int64_t src_pitch, uint8_t* dst,
                             int64_t dst_pitch, int64_t rows, int64_t n);

}  // namespace narrow::kernels
