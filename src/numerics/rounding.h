// Narrowing in two steps that rounds once.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace narrow {

/// The float next to x that, rounded to nearest even to any format of at most 22 significant bits, gives what
/// x itself would give: inexact results get an odd last bit (Boldo and Melquiond, "Emulation of FMA and
/// correctly rounded sums", 2008).
inline float round_to_odd(double x) {
  const auto f = static_cast<float>(x);
  const auto bits = std::bit_cast<uint32_t>(f);
  if (static_cast<double>(f) == x || x != x || (bits & 1) != 0) return f;
  return std::bit_cast<float>(std::fabs(static_cast<double>(f)) < std::fabs(x) ? bits + 1 : bits - 1);
}

}  // namespace narrow
