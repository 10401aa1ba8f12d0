// QuantizeLinear, DequantizeLinear and conversions between element types.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

/// Elements lie as [outer, channels, inner]; scale and zero_point have `channels` entries. Per tensor: outer
/// = channels = 1, inner = count. Channels last: inner = 1.
struct QuantizeSpec {
  DType src = DType::f32;
  DType dst = DType::u8;
  int64_t outer = 1, channels = 1, inner = 1;
  const float* scale = nullptr;
  const int32_t* zero_point = nullptr;  // null: all 0

  int64_t count() const { return outer * channels * inner; }
};

/// f32 bf16 f16 -> u8 s8:  q = saturate(round_half_even(x / scale) + zero_point), NaN gives the lowest value
/// (narrow::quantize of numerics/quantization.h). Equal on all ISAs.
void quantize_linear_reference(const QuantizeSpec& spec, const void* src, void* dst);
void quantize_linear(const QuantizeSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);

/// u8 s8 s32 -> f32 bf16 f16:  x = float(q - zero_point) * scale; for s32 q - zero_point wraps. Equal on all
/// ISAs.
void dequantize_linear_reference(const QuantizeSpec& spec, const void* src, void* dst);
void dequantize_linear(const QuantizeSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);

/// The scale and zero point that cover [min(x, 0), max(x, 0)] with u8, as DynamicQuantizeLinear defines them:
///   scale = (max - min) / 255 (1 for all zeros), zero_point = saturate(round_half_even(-min / scale)).
struct DynamicQuant {
  float scale;
  int32_t zero_point;
};
DynamicQuant dynamic_quant(const float* x, int64_t count, Isa isa, ThreadPool& pool);

/// Cast among f32 bf16 f16 f64 s8 u8 s16 u16 s32 u32 s64 u64 bool. Floats narrow to nearest even (beyond the
/// range: Inf); float to integer truncates and saturates, NaN gives 0; integer to integer keeps the low bits;
/// to bool is x != 0. src and dst must not overlap unless they are the same memory with equally wide
/// elements.
void convert_reference(DType src_type, DType dst_type, const void* src, void* dst, int64_t count);
void convert(DType src_type, DType dst_type, const void* src, void* dst, int64_t count, Isa isa,
             ThreadPool& pool);

}  // namespace narrow::kernels
