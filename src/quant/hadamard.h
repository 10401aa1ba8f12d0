// Orthogonal matrices that spread: of a vector of one large number they make one of many alike.
//
//   H Hᵀ = n I, entries +-1.  Sylvester: H_2n = [H_n H_n; H_n -H_n].  Paley I and II: orders q + 1 (q = 3 mod
//   4) and 2 (q + 1) (q = 1 mod 4) for primes q, among them 12, 20 and 28.
//
// Source: Paley, "On orthogonal matrices", 1933. docs/methods/rotation.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace narrow::quant {

/// Row-major n x n by Paley's constructions; nothing where n is not of their orders. n is no power of two
/// or 4.
std::optional<std::vector<double>> paley_matrix(int64_t n);

/// x -> x R, R = diag(signs) (C (x) H) / sqrt(..) [U], orthogonal: H a Sylvester matrix, C one for the rest
/// of `size`, a Paley matrix or, where there is none, the orthonormal DCT-II of the odd part of the size.
class Rotation {
 public:
  /// `seed`: of the signs. `keeps_mean`: R 1 = 1, so that x R has the mean of x; U is the Householder
  /// reflection that takes the image of 1 back. Precondition: can_rotate(size).
  Rotation(int64_t size, uint64_t seed, bool keeps_mean = false);
  int64_t size() const { return size_; }
  bool is_reflected() const { return !mirror_.empty(); }
  /// x R in place, in O(size log size) where the size is a power of two.
  void apply(std::span<double> x) const;
  /// "Hadamard 64", "Hadamard 12 x 64", "DCT 43 x Hadamard 4".
  std::string name() const;

 private:
  void mix_core(std::span<double> x) const;
  void transform(std::span<double> x) const;

  int64_t size_, core_ = 1, power_ = 1;  // size = core * power, power one of two
  bool dct_ = false;
  std::vector<double> signs_, matrix_;  // matrix: of the core, orthonormal, row-major
  std::vector<double> mirror_;          // u of I - 2 u uᵀ; empty: none
};

/// Two or more, and an odd part for which a matrix is not too large.
bool can_rotate(int64_t size);

}  // namespace narrow::quant
