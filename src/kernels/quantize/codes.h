// The inner loops of quantize.h, per ISA: a stretch that shares one scale, or one pair per element.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace narrow::kernels {

struct CodeRun {
  DType src, dst;
  const void* from;  // first element of the stretch
  void* to;
  int64_t n;
  const float* scale;
  const int32_t* zero_point;
  bool per_element;  // scale[i], zero_point[i] instead of scale[0], zero_point[0]
};

void quantize_run_plain(const CodeRun& run);
void dequantize_run_plain(const CodeRun& run);
void quantize_run_avx2(const CodeRun& run);
void dequantize_run_avx2(const CodeRun& run);
void quantize_run_avx512(const CodeRun& run);
void dequantize_run_avx512(const CodeRun& run);

/// Smallest and largest of n floats and 0; NaN is passed over.
void range_avx512(const float* x, int64_t n, float* low, float* high);

}  // namespace narrow::kernels
