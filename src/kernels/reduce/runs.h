// What a reduction is made of, per ISA. Results are in double: floats, too, are doubles exactly.
// Functions defined here are local to the including file, so no copy of them can reach code for other
// processors.
#pragma once

#include <cstdint>

namespace narrow::kernels {

/// What is gathered; means and roots come out of sums.
enum class Gather : uint8_t { sum, magnitudes, squares, max, min };

namespace {

constexpr double gather_start(Gather kind) {
  return kind == Gather::max ? -__builtin_inf() : kind == Gather::min ? __builtin_inf() : 0.0;
}

/// One element more; NaN wins.
inline double gather_one(Gather kind, double acc, float value) {
  const double x = value;
  switch (kind) {
    case Gather::sum:
      return acc + x;
    case Gather::magnitudes:
      return acc + (x < 0 ? -x : x);
    case Gather::squares:
      return acc + x * x;
    case Gather::max:
      return acc != acc || acc > x ? acc : x;
    default:
      return acc != acc || acc < x ? acc : x;
  }
}

/// Two results of gather_one, of different elements.
inline double gather_two(Gather kind, double a, double b) {
  if (kind == Gather::max) return a != a || a > b ? a : b;
  if (kind == Gather::min) return a != a || a < b ? a : b;
  return a + b;
}

}  // namespace

/// The n floats from x on.
double gather_row_plain(Gather kind, const float* x, int64_t n);
double gather_row_avx2(Gather kind, const float* x, int64_t n);
double gather_row_avx512(Gather kind, const float* x, int64_t n);

/// Each of `columns` columns over `rows` rows, which begin `stride` floats apart.
struct Columns {
  const float* x;
  int64_t rows, stride, columns;
  double* result;  // [columns]
};
void gather_columns_plain(Gather kind, const Columns& c);
void gather_columns_avx2(Gather kind, const Columns& c);
void gather_columns_avx512(Gather kind, const Columns& c);

}  // namespace narrow::kernels
