#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/elementwise/elementwise.h"

namespace narrow::kernels {
namespace {
constexpr std::array kUnaryNames = {"activation", "exp",  "log", "sqrt",  "reciprocal", "abs",
                                    "neg",        "sign", "erf", "floor", "ceil",       "round",
                                    "sin",        "cos",  "tan", "atan",  "softplus",   "softsign"};
constexpr std::array kBinaryNames = {"add", "sub", "mul", "div", "pow", "min", "max", "prelu"};

/// log(1 + e^x) without overflow.
float softplus(float x) { return std::max(x, 0.0F) + std::log1p(std::exp(-std::fabs(x))); }
}  // namespace

const char* to_string(Unary kind) { return kUnaryNames.at(static_cast<size_t>(kind)); }
const char* to_string(Binary op) { return kBinaryNames.at(static_cast<size_t>(op)); }

float apply(const UnaryFunction& function, float x) {
  switch (function.kind) {
    case Unary::activation:
      return apply(function.activation, x);
    case Unary::exp:
      return std::exp(x);
    case Unary::log:
      return std::log(x);
    case Unary::sqrt:
      return std::sqrt(x);
    case Unary::reciprocal:
      return 1.0F / x;
    case Unary::abs:
      return std::fabs(x);
    case Unary::neg:
      return -x;
    case Unary::sign:
      return x > 0 ? 1.0F : (x < 0 ? -1.0F : x);
    case Unary::erf:
      return std::erf(x);
    case Unary::floor:
      return std::floor(x);
    case Unary::ceil:
      return std::ceil(x);
    case Unary::round:
      return std::nearbyint(x);
    case Unary::sin:
      return std::sin(x);
    case Unary::cos:
      return std::cos(x);
    case Unary::tan:
      return std::tan(x);
    case Unary::atan:
      return std::atan(x);
    case Unary::softplus:
      return softplus(x);
    case Unary::softsign:
      return x / (1.0F + std::fabs(x));
  }
  return x;
}

float apply(Binary op, float a, float b) {
  switch (op) {
    case Binary::add:
      return a + b;
    case Binary::sub:
      return a - b;
    case Binary::mul:
      return a * b;
    case Binary::div:
      return a / b;
    case Binary::pow:
      return std::pow(a, b);
    case Binary::min:
      return a < b ? a : b;
    case Binary::max:
      return a > b ? a : b;
    case Binary::prelu:
      return a >= 0 ? a : a * b;
  }
  return a;
}

int64_t BinarySpec::count() const {
  int64_t n = 1;
  for (int d = 0; d < rank; ++d) n *= extents[d];
  return n;
}

bool BinarySpec::set_shapes(std::span<const int64_t> a_shape, std::span<const int64_t> b_shape) {
  const auto a_rank = static_cast<int>(a_shape.size()), b_rank = static_cast<int>(b_shape.size());
  if (std::max(a_shape.size(), b_shape.size()) > static_cast<size_t>(kMaxRank)) return false;
  rank = std::max(a_rank, b_rank);
  int64_t a_stride = 1, b_stride = 1;
  for (int i = 1; i <= rank; ++i) {
    const int64_t ea = i <= a_rank ? a_shape[static_cast<size_t>(a_rank - i)] : 1;
    const int64_t eb = i <= b_rank ? b_shape[static_cast<size_t>(b_rank - i)] : 1;
    if (ea != eb && ea != 1 && eb != 1) return false;
    const int d = rank - i;
    extents[d] = ea == 1 ? eb : ea;
    a_strides[d] = ea == 1 ? 0 : a_stride;
    b_strides[d] = eb == 1 ? 0 : b_stride;
    a_stride *= ea;
    b_stride *= eb;
  }
  return true;
}

}  // namespace narrow::kernels
