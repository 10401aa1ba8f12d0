// Rows quantized by their own magnitude at run time: the data of int8-dynamic products.
#pragma once

#include <cstdint>

#include "base/cpu.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

/// x [rows, columns] f32 -> codes u8 around 128 and one scale per row:
///   s = max(max |x| * step, tiny)      q = saturate(round_half_even(x / s) + 128)
/// A row that holds NaN or Inf has scale NaN, so that whatever is made of it says so.
struct RowsSpec {
  int64_t rows = 1, columns = 1;
  float step = 1.0F / 127, tiny = 1e-30F;
};

/// Equal on all ISAs and for every number of threads.
void quantize_rows(const RowsSpec& spec, const float* x, uint8_t* codes, float* scale, Isa isa,
                   ThreadPool& pool);

}  // namespace narrow::kernels
