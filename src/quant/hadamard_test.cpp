#include "quant/hadamard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace narrow::quant {
namespace {

/// Rows are images of the unit vectors.
std::vector<std::vector<double>> matrix_of(const Rotation& rotation) {
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < rotation.size(); ++i) {
    std::vector<double> x(static_cast<size_t>(rotation.size()), 0);
    x[static_cast<size_t>(i)] = 1;
    rotation.apply(x);
    rows.push_back(x);
  }
  return rows;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// n products of numbers below 1, each rounded, and as many in every pass of the transform.
double rounding(int64_t n) { return 4.0 * static_cast<double>(n) * std::ldexp(1, -53); }

TEST(Hadamard, PaleyMatricesAreOrthogonalOfOnes) {
  for (const int64_t n : {4, 8, 12, 20, 24, 28, 36, 44, 60}) {
    const auto h = paley_matrix(n);
    ASSERT_TRUE(h) << n;
    for (const double x : *h) EXPECT_EQ(std::fabs(x), 1) << n;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < n; ++k)
          sum += (*h)[static_cast<size_t>(i * n + k)] * (*h)[static_cast<size_t>(j * n + k)];
        EXPECT_EQ(sum, i == j ? static_cast<double>(n) : 0) << n << ": " << i << ", " << j;
      }
  }
  for (const int64_t n : {2, 6, 10, 40, 92, 172}) EXPECT_FALSE(paley_matrix(n)) << n;
}

TEST(Rotation, IsOrthogonal) {
  for (const int64_t n : {2, 3, 6, 7, 8, 12, 20, 28, 48, 64, 172, 192})
    for (const bool keeps_mean : {false, true}) {
      const Rotation rotation(n, 5, keeps_mean);
      const auto rows = matrix_of(rotation);
      const std::vector<double> ones(static_cast<size_t>(n), 1);
      for (size_t i = 0; i < rows.size(); ++i) {
        for (size_t j = 0; j <= i; ++j)
          EXPECT_NEAR(dot(rows[i], rows[j]), i == j ? 1 : 0, rounding(n)) << rotation.name();
        if (!keeps_mean) continue;
        EXPECT_NEAR(dot(rows[i], ones), 1, rounding(n)) << rotation.name();  // R 1 = 1
      }
    }
}

TEST(Rotation, OneLargeNumberIsSpreadEvenly) {
  for (const int64_t n : {8, 12, 20, 28, 64, 192, 320, 768}) {
    const Rotation rotation(n, 3);
    EXPECT_NE(rotation.name().find("Hadamard"), std::string::npos);
    EXPECT_EQ(rotation.name().find("DCT"), std::string::npos) << rotation.name();
    for (const auto& row : matrix_of(rotation))
      for (const double x : row)
        EXPECT_NEAR(std::fabs(x), 1 / std::sqrt(static_cast<double>(n)), rounding(n)) << rotation.name();
  }
  EXPECT_EQ(Rotation(172, 1).name(), "DCT 43 x Hadamard 4");  // 4 * 43 - 1 and 2 * 43 - 1 are no primes
}

TEST(Rotation, WithTheMeanKeptNoNumberStaysLarge) {
  // Entries of R are those of a Hadamard matrix and a reflection whose vector has norm 1 and numbers that are
  // sums of n random signs over n: six of their deviations.
  for (const int64_t n : {64, 192, 768})
    for (const auto& row : matrix_of(Rotation(n, 9, true)))
      for (const double x : row) EXPECT_LT(std::fabs(x), 7 / std::sqrt(static_cast<double>(n)));
}

TEST(Rotation, SeedsDecide) {
  EXPECT_EQ(matrix_of(Rotation(24, 1)), matrix_of(Rotation(24, 1)));
  EXPECT_NE(matrix_of(Rotation(24, 1)), matrix_of(Rotation(24, 2)));
  EXPECT_FALSE(can_rotate(1));
  EXPECT_FALSE(can_rotate(8191));
  EXPECT_TRUE(can_rotate(8192));
}

}  // namespace
}  // namespace narrow::quant
