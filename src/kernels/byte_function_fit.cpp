#include "kernels/byte_function_fit.h"

#include <algorithm>
#include <cmath>

namespace narrow::kernels {
namespace {

constexpr double kLow = -128, kHigh = 127;
constexpr double kUnits = 128;  // of y in one step of dst
constexpr double kHalf = 63.5;  // of them: y in whole units, then cut off, is off to neither side
constexpr double kFlat = 0.05;  // steps of dst beyond the reach, at most
constexpr float kLargestError = 0.2F;
constexpr int kHalfPiece = 1024;  // positions

int32_t saturated(int32_t x) { return std::clamp(x, -32768, 32767); }
int32_t rounded_product(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

int16_t in_units(double x) { return static_cast<int16_t>(std::clamp(std::nearbyint(x), -32768.0, 32767.0)); }

/// The parabola of a position, in 1/128 steps.
int32_t value_at(const ByteFunction& f, int32_t position) {
  const int piece = position >> 11 & 31;
  const auto u = static_cast<int16_t>((static_cast<uint32_t>(position) << 5 & 0xffff) ^ 0x8000);
  const int32_t slope = saturated(f.slope[piece] + rounded_product(u, f.curve[piece]));
  return saturated(f.constant[piece] + rounded_product(u, slope));
}

class Fit {
 public:
  Fit(const Activation& activation, DType dst, const TensorQuant& quant)
      : activation_(activation),
        scale_(quant.scale),
        zero_(quant.zero_point - (dst == DType::u8 ? 128 : 0)) {}

  /// Positions' reach to both sides of 0: until nothing moves any more, and such that pieces end where the
  /// function bends.
  double reach() const {
    constexpr double kShrink = 0.97;
    double reach = 100 * (256 * scale_ + 16);
    const double high = bounded(reach), low = bounded(-reach);
    while (reach > 1e-30 && std::abs(bounded(reach * kShrink) - high) <= kFlat &&
           std::abs(bounded(-reach * kShrink) - low) <= kFlat)
      reach *= kShrink;
    const double most = 16 * bend();  // one piece up to the bend
    return most > 0 ? most / std::max(std::floor(most / reach), 1.0) : reach;
  }

  void piece(ByteFunction& f, int index) const {
    // The interpolation at Chebyshev's points, 0 and +-cos 30 degrees, is within a tenth of the best
    // parabola.
    constexpr double kPoint = 0.86602540378443865;
    const double middle = centre(index) * f.step, half = kHalfPiece * double{f.step};
    const double low = stored(middle - kPoint * half), mid = stored(middle),
                 high = stored(middle + kPoint * half);
    const bool saturates =
        std::min(stored(middle - half), stored(middle + half)) > kHigh + 1 && mid > kHigh + 1;
    f.constant[index] = in_units(kUnits * mid + kHalf);
    f.slope[index] = saturates ? int16_t{0} : in_units(kUnits * (high - low) / (2 * kPoint));
    f.curve[index] = saturates ? int16_t{0} : in_units(kUnits * ((high + low) / 2 - mid) / (kPoint * kPoint));
  }

  /// Largest distance in the piece, of some of its positions.
  double error(const ByteFunction& f, int index) const {
    double worst = 0;
    for (int at = -kHalfPiece; at < kHalfPiece; at += kHalfPiece / 8) {
      const int position = centre(index) + at;
      const double y = (value_at(f, position) - kHalf) / kUnits;
      worst = std::max(worst, std::abs(std::clamp(y, kLow, kHigh) - bounded(position * double{f.step})));
    }
    return worst;
  }

 private:
  /// Where the slope jumps on both sides of 0; 0: nowhere but there, if at all.
  double bend() const {
    if (activation_.kind == Act::hard_swish) return 3;
    const bool centred = activation_.kind == Act::hard_sigmoid && activation_.beta == 0.5F;
    return centred && activation_.alpha > 0 ? 0.5 / double{activation_.alpha} : 0;
  }
  static int centre(int index) { return (index < 16 ? index : index - 32) * 2 * kHalfPiece + kHalfPiece; }
  double stored(double x) const { return apply_exactly(activation_, x) / scale_ + zero_; }
  double bounded(double x) const { return std::clamp(stored(x), kLow, kHigh); }

  const Activation activation_;
  double scale_, zero_;
};

}  // namespace

std::shared_ptr<const ByteFunction> byte_function(const Activation& activation, DType dst,
                                                  const TensorQuant& quant) {
  if (activation.is_clamp() || !is_int8(dst) || !(quant.scale > 0) || !std::isfinite(quant.scale))
    return nullptr;
  const Fit fit(activation, dst, quant);
  auto f = std::make_shared<ByteFunction>();
  f->step = static_cast<float>(fit.reach() / 32768);
  if (!(f->step > 0)) return nullptr;
  double error = 0;
  for (int i = 0; i < ByteFunction::kPieces; ++i) {
    fit.piece(*f, i);
    error = std::max(error, fit.error(*f, i));
  }
  f->error = static_cast<float>(error);
  return f->error <= kLargestError ? f : nullptr;
}

int32_t byte_at(const ByteFunction& function, int32_t position) {
  return std::clamp(value_at(function, position) >> 7, -128, 127);
}

}  // namespace narrow::kernels
