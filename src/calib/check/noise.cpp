#include "calib/check/noise.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace narrow::calib {

Grouping grouping_of(int64_t n, int64_t m) {
  const int64_t size = std::max<int64_t>(1, std::min(n, m) / kLeastGroups);
  return {std::clamp<int64_t>(n / size, 1, kMostGroups), size};
}

std::vector<std::vector<int32_t>> shuffles(int64_t count, int rounds, uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<int32_t>> orders(static_cast<size_t>(rounds));
  for (auto& order : orders) {
    order.resize(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = count - 1; i > 0; --i)
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(random.integer(0, i))]);
  }
  return orders;
}

NoiseFloor noise_floor(std::span<const Counts> a, std::span<const Counts> b, uint64_t seed) {
  std::vector<const Counts*> all;
  for (const auto& set : {a, b})
    for (const Counts& group : set)
      if (!group.empty()) all.push_back(&group);
  const auto mine = static_cast<size_t>(
      std::count_if(a.begin(), a.end(), [](const Counts& group) { return !group.empty(); }));
  NoiseFloor floor;
  if (mine == 0 || mine == all.size()) return floor;
  const size_t parts = all.front()->size();
  for (const std::vector<int32_t>& order : shuffles(static_cast<int64_t>(all.size()), kRounds, seed)) {
    Counts first(parts, 0), second(parts, 0);
    for (size_t i = 0; i < order.size(); ++i) {
      const Counts& group = *all[static_cast<size_t>(order[i])];
      Counts& side = i < mine ? first : second;
      for (size_t k = 0; k < parts; ++k) side[k] += group[k];
    }
    const std::vector<double> p = shares_of(first), q = shares_of(second);
    floor.psi = std::max(floor.psi, psi(p, q));
    floor.ks = std::max(floor.ks, ks(p, q));
  }
  return floor;
}

}  // namespace narrow::calib
