#include "quant/prune_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace narrow::quant {
namespace {

/// Of each column the n units of the highest scores.
std::vector<uint8_t> keep_of_each(int64_t kept, int64_t units, std::span<const double> scores, int64_t n) {
  std::vector<uint8_t> keep(scores.size(), 0);
  std::vector<int64_t> order(static_cast<size_t>(units));
  for (int64_t c = 0; c < n; ++c) {
    std::iota(order.begin(), order.end(), int64_t{0});
    const auto score = [&](int64_t u) { return scores[static_cast<size_t>(u * n + c)]; };
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return score(a) > score(b); });
    for (int64_t i = 0; i < std::min(kept, units); ++i) {
      const int64_t u = order[static_cast<size_t>(i)];
      keep[static_cast<size_t>(u * n + c)] = score(u) > 0 ? 1 : 0;
    }
  }
  return keep;
}

}  // namespace

std::string to_string(const PrunePattern& pattern) {
  if (pattern.m > 0) return fmt::format("{} of each {} weights", pattern.m - pattern.n, pattern.m);
  const std::string share = fmt::format("{:g}% of the weights", 100 * pattern.sparsity);
  return pattern.block > 1 ? fmt::format("{} in blocks of {}", share, pattern.block) : share;
}

std::string unsuited(const PrunePattern& pattern, const HeavyShape& shape) {
  if (pattern.m > 0 && shape.channels % pattern.m != 0)
    return fmt::format("{} channels are no multiple of {}", shape.channels, pattern.m);
  if (shape.channels < pattern.block)
    return fmt::format("{} channels, a block has {}", shape.channels, pattern.block);
  return "";
}

std::vector<PruneUnit> units_of(const PrunePattern& pattern, const HeavyShape& shape) {
  std::vector<PruneUnit> units;
  const int64_t block = pattern.m > 0 ? 1 : pattern.block;
  for (int64_t p = 0; p < shape.positions; ++p)
    for (int64_t c = 0; c < shape.channels; c += block)
      units.push_back({p * shape.channels + c, p * shape.channels + std::min(c + block, shape.channels)});
  return units;
}

std::vector<uint8_t> keep_units(const PrunePattern& pattern, std::span<const PruneUnit> units,
                                std::span<const double> scores, int64_t n) {
  if (pattern.m > 0) return keep_of_each(pattern.n, static_cast<int64_t>(units.size()), scores, n);
  const auto size = [&](size_t at) {
    const PruneUnit& unit = units[at / static_cast<size_t>(n)];
    return unit.end - unit.begin;
  };
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto cost = [&](uint32_t at) { return scores[at] / static_cast<double>(size(at)); };
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return cost(a) < cost(b) || (cost(a) == cost(b) && a < b); });
  int64_t all = 0;
  for (const PruneUnit& unit : units) all += (unit.end - unit.begin) * n;
  int64_t left = std::llround(pattern.sparsity * static_cast<double>(all));
  std::vector<uint8_t> keep(scores.size(), 1);
  for (const uint32_t at : order) {
    if (scores[at] > 0 && left < size(at)) break;
    keep[at] = 0;
    left -= size(at);
  }
  return keep;
}

}  // namespace narrow::quant
