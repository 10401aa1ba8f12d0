#include "kernels/peak/peak.h"

#include <array>

namespace narrow::kernels {
namespace {

// Independent accumulators of every round: enough to hide the latency of the instruction.
constexpr int64_t kTiles = 6, kVectors = 12;
constexpr int64_t kTileMacs = 16 * 16;  // times the depth of a row: 64 bytes

constexpr std::array kTable = {
    PeakKernel{"peak_int8_amx", Isa::amx, DType::u8, 2 * kPeakRounds* kTiles* kTileMacs * 64, peak_int8_amx},
    PeakKernel{"peak_int8_avx512vnni", Isa::avx512_vnni, DType::u8, 2 * kPeakRounds* kVectors * 64,
               peak_int8_avx512vnni},
    PeakKernel{"peak_int8_avx2vnni", Isa::avx2_vnni, DType::u8, 2 * kPeakRounds* kVectors * 32,
               peak_int8_avx2vnni},
    PeakKernel{"peak_int8_avx2", Isa::avx2, DType::u8, 2 * kPeakRounds* kVectors * 32, peak_int8_avx2},
    PeakKernel{"peak_bf16_amx", Isa::amx, DType::bf16, 2 * kPeakRounds* kTiles* kTileMacs * 32,
               peak_bf16_amx},
    PeakKernel{"peak_bf16_avx512bf16", Isa::avx512_bf16, DType::bf16, 2 * kPeakRounds* kPeakDots * 32,
               peak_bf16_avx512bf16},
    PeakKernel{"peak_f32_avx512", Isa::avx512, DType::f32, 2 * kPeakRounds* kVectors * 16, peak_f32_avx512},
    PeakKernel{"peak_f32_avx2", Isa::avx2, DType::f32, 2 * kPeakRounds* kVectors * 8, peak_f32_avx2}};

}  // namespace

std::span<const PeakKernel> peak_kernels() { return kTable; }

const PeakKernel* peak_kernel(DType type) {
  if (type == DType::f16 || (type == DType::bf16 && !has_bf16_products(usable_isa()))) type = DType::f32;
  for (const PeakKernel& kernel : kTable)
    if (kernel.type == type && runs_here(kernel.isa)) return &kernel;
  return nullptr;
}

}  // namespace narrow::kernels
