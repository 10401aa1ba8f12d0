#include "verify/channel_fit.h"

#include <algorithm>

namespace narrow::verify {
namespace {

/// Calls f(channel, i) for every element.
template <class F>
void for_each_channel(const Tensor& t, int64_t axis, F&& f) {
  int64_t inner = 1, outer = 1;
  for (int64_t a = 0; a < axis; ++a) outer *= t.dim(a);
  for (int64_t a = axis + 1; a < t.rank(); ++a) inner *= t.dim(a);
  size_t i = 0;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t c = 0; c < t.dim(axis); ++c)
      for (int64_t k = 0; k < inner; ++k, ++i) f(static_cast<size_t>(c), i);
}

}  // namespace

Tensor ChannelMap::apply(const Tensor& x) const {
  Tensor y = x.clone();
  auto out = y.mutable_data<float>();
  for_each_channel(x, axis, [&](size_t c, size_t i) {
    out[i] = static_cast<float>(factor[c] * static_cast<double>(out[i]) + shift[c]);
  });
  return y;
}

void ChannelFit::add(const Tensor& x, const Tensor& y) {
  if (x.rank() < 1 || x.elements() == 0) return;
  candidates_[0].axis = x.rank() - 1;
  candidates_[1].axis = x.rank() >= 3 ? 1 : -1;
  const auto from = x.data<float>(), to = y.data<float>();
  for (Candidate& candidate : candidates_) {
    if (candidate.axis < 0) continue;
    candidate.channels.resize(static_cast<size_t>(x.dim(candidate.axis)));
    for_each_channel(x, candidate.axis, [&](size_t c, size_t i) {
      const double a = from[i], b = to[i];
      Sums& s = candidate.channels[c];
      ++s.n, s.x += a, s.y += b, s.xx += a * a, s.xy += a * b, s.yy += b * b;
    });
  }
}

std::optional<ChannelMap> ChannelFit::solve() const {
  constexpr double kMixed = 0.1;
  std::optional<ChannelMap> best;
  double least = kMixed;
  for (const Candidate& candidate : candidates_) {
    if (candidate.axis < 0) continue;
    ChannelMap map{.axis = candidate.axis, .factor = {}, .shift = {}};
    double left = 0, power = 0;
    for (const Sums& s : candidate.channels) {
      const double n = std::max(s.n, 1.0), variance = s.xx - s.x * s.x / n, covariance = s.xy - s.x * s.y / n;
      const double factor =
          variance > 1e-9 * s.xx ? covariance / variance : 1;  // of a constant nothing is known
      map.factor.push_back(factor);
      map.shift.push_back((s.y - factor * s.x) / n);
      left += std::max(0.0, s.yy - s.y * s.y / n - factor * covariance);
      power += s.yy;
    }
    if (power > 0 && left / power < least) least = left / power, best = std::move(map);
  }
  return best;
}

}  // namespace narrow::verify
