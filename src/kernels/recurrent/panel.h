// One panel of a matrix times a vector.
#pragma once

#include <cstdint>

namespace narrow::kernels {

constexpr int64_t kPanelRows = 64;  // four vectors of AVX-512: one accumulator chain each

/// y[0, 64) += panel x, panel: [columns][64]. The caller makes sure that the processor has the suffix.
void add_panel_plain(const float* panel, int64_t columns, const float* x, float* y);
void add_panel_avx2(const float* panel, int64_t columns, const float* x, float* y);
void add_panel_avx512(const float* panel, int64_t columns, const float* x, float* y);

}  // namespace narrow::kernels
