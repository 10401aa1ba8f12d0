// What the arithmetic of an instruction set can do at most: multiply-adds on registers alone, no memory, no
// dependence that is not hidden. The roof kernels are held against.
#pragma once

#include <cstdint>
#include <span>

#include "base/cpu.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

struct PeakKernel {
  const char* name;
  Isa isa;
  DType type;          // f32, bf16 or u8 (u8 x s8)
  int64_t operations;  // of one run(); a multiply-add is two
  void (*run)();
};

/// Best first for each type. A type that an instruction set has no arithmetic for runs as f32.
std::span<const PeakKernel> peak_kernels();
/// The best one that may be used here; null for plain C++. bf16 that is not faster runs as f32.
const PeakKernel* peak_kernel(DType type);

constexpr int64_t kPeakRounds = 2'000;
constexpr int64_t kPeakDots = 24;  // accumulators of peak_bf16_avx512bf16: of 12 it waits for their latency
void peak_int8_amx();
void peak_bf16_amx();
void peak_bf16_avx512bf16();
void peak_int8_avx512vnni();
void peak_f32_avx512();
void peak_int8_avx2vnni();
void peak_int8_avx2();
void peak_f32_avx2();

}  // namespace narrow::kernels
