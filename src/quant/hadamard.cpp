#include "quant/hadamard.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "base/check.h"
#include "base/random.h"

namespace narrow::quant {
namespace {

constexpr int64_t kLargestCore = 4096;  // 128 MiB of doubles; odd parts of real widths are far below

bool is_prime(int64_t n) {
  for (int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return n >= 2;
}

/// 1 for squares modulo the prime q, -1 for others, 0 for 0.
std::vector<double> characters(int64_t q) {
  std::vector<double> chi(static_cast<size_t>(q), -1);
  for (int64_t i = 1; i < q; ++i) chi[static_cast<size_t>(i * i % q)] = 1;
  chi[0] = 0;
  return chi;
}

/// [0 1; s Q] with Q_ij = chi(j - i): s = -1 makes it skew for q = 3 mod 4, s = 1 symmetric for q = 1 mod 4.
std::vector<double> conference_matrix(int64_t q, double s) {
  const std::vector<double> chi = characters(q);
  const int64_t n = q + 1;
  std::vector<double> c(static_cast<size_t>(n * n), 0);
  for (int64_t i = 1; i < n; ++i) {
    c[static_cast<size_t>(i)] = 1;
    c[static_cast<size_t>(i * n)] = s;
    for (int64_t j = 1; j < n; ++j)
      c[static_cast<size_t>(i * n + j)] = chi[static_cast<size_t>((j - i + q) % q)];
  }
  return c;
}

/// I + C.
std::vector<double> paley_one(int64_t q) {
  std::vector<double> h = conference_matrix(q, -1);
  for (int64_t i = 0; i <= q; ++i) h[static_cast<size_t>(i * (q + 2))] = 1;
  return h;
}

/// Each 0 of C becomes [1 -1; -1 -1], each +-1 becomes +-[1 1; 1 -1].
std::vector<double> paley_two(int64_t q) {
  const std::vector<double> c = conference_matrix(q, 1);
  const int64_t half = q + 1, n = 2 * half;
  std::vector<double> h(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < half; ++i)
    for (int64_t j = 0; j < half; ++j) {
      const double v = c[static_cast<size_t>(i * half + j)];
      double* at = h.data() + 2 * i * n + 2 * j;
      at[0] = v == 0 ? 1 : v;
      at[1] = at[n] = v == 0 ? -1 : v;
      at[n + 1] = v == 0 ? -1 : -v;
    }
  return h;
}

/// Rows are samples, columns frequencies: sqrt(2 / m) cos(pi (i + 1/2) j / m), column 0 sqrt(1 / m).
std::vector<double> dct_matrix(int64_t m) {
  std::vector<double> c(static_cast<size_t>(m * m));
  const auto n = static_cast<double>(m);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < m; ++j)
      c[static_cast<size_t>(i * m + j)] =
          j == 0 ? std::sqrt(1 / n)
                 : std::sqrt(2 / n) *
                       std::cos(M_PI * (static_cast<double>(i) + 0.5) * static_cast<double>(j) / n);
  return c;
}

int64_t odd_part(int64_t n) { return n >> std::countr_zero(static_cast<uint64_t>(n)); }

/// The smallest order 2^t * odd that divides `size` and that Paley's constructions have; 0: none.
int64_t paley_order(int64_t size) {
  for (int64_t n = 4 * odd_part(size); size % n == 0 && n <= kLargestCore; n *= 2)
    if (is_prime(n - 1) || (n % 4 == 0 && (n / 2 - 1) % 4 == 1 && is_prime(n / 2 - 1))) return n;
  return 0;
}

}  // namespace

std::optional<std::vector<double>> paley_matrix(int64_t n) {
  if (n < 4 || n % 4 != 0) return std::nullopt;
  if (is_prime(n - 1)) return paley_one(n - 1);
  const int64_t q = n / 2 - 1;
  return q % 4 == 1 && is_prime(q) ? std::optional(paley_two(q)) : std::nullopt;
}

bool can_rotate(int64_t size) { return size >= 2 && odd_part(size) <= kLargestCore; }

Rotation::Rotation(int64_t size, uint64_t seed, bool keeps_mean) : size_(size) {
  NARROW_CHECK(can_rotate(size));
  if (const int64_t odd = odd_part(size); odd > 1) {
    const int64_t order = paley_order(size);
    core_ = order > 0 ? order : odd;
    dct_ = order == 0;
    matrix_ = dct_ ? dct_matrix(core_) : *paley_matrix(core_);
    if (!dct_)
      for (double& x : matrix_) x /= std::sqrt(static_cast<double>(core_));
  }
  power_ = size / core_;
  Random random(seed);
  for (int64_t i = 0; i < size; ++i) signs_.push_back(random.integer(0, 1) == 0 ? -1 : 1);
  if (!keeps_mean) return;
  const double one = 1 / std::sqrt(static_cast<double>(size));
  std::vector<double> u(static_cast<size_t>(size), one);
  transform(u);
  double squares = 0;
  for (double& x : u) {
    x -= one;
    squares += x * x;
  }
  constexpr double kNothingToReflect = 1e-24;
  if (squares < kNothingToReflect) return;
  for (double& x : u) x /= std::sqrt(squares);
  mirror_ = std::move(u);
}

void Rotation::mix_core(std::span<double> x) const {
  std::vector<double> mixed(x.size(), 0);
  const auto power = static_cast<size_t>(power_), core = static_cast<size_t>(core_);
  for (size_t i = 0; i < core; ++i)
    for (size_t j = 0; j < core; ++j)
      for (size_t b = 0; b < power; ++b) mixed[j * power + b] += x[i * power + b] * matrix_[i * core + j];
  std::copy(mixed.begin(), mixed.end(), x.begin());
}

void Rotation::transform(std::span<double> x) const {
  for (size_t i = 0; i < x.size(); ++i) x[i] *= signs_[i];
  if (core_ > 1) mix_core(x);
  const auto power = static_cast<size_t>(power_);
  for (size_t half = 1; half < power; half *= 2)
    for (size_t first = 0; first < x.size(); first += 2 * half)
      for (size_t i = first; i < first + half; ++i) {
        const double a = x[i], b = x[i + half];
        x[i] = a + b, x[i + half] = a - b;
      }
  const double scale = 1 / std::sqrt(static_cast<double>(power_));
  for (double& v : x) v *= scale;
}

void Rotation::apply(std::span<double> x) const {
  NARROW_CHECK(std::ssize(x) == size_);
  transform(x);
  if (mirror_.empty()) return;
  double dot = 0;
  for (size_t i = 0; i < x.size(); ++i) dot += x[i] * mirror_[i];
  for (size_t i = 0; i < x.size(); ++i) x[i] -= 2 * dot * mirror_[i];
}

std::string Rotation::name() const {
  if (core_ == 1) return fmt::format("Hadamard {}", power_);
  const std::string core = fmt::format("{} {}", dct_ ? "DCT" : "Hadamard", core_);
  return power_ == 1 ? core : fmt::format("{} x {}{}", core, dct_ ? "Hadamard " : "", power_);
}

}  // namespace narrow::quant
