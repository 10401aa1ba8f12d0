#include "kernel_cases/draw.h"

namespace narrow::kernel_cases {

Case draw_case(Dice& dice, const Family* family, int64_t budget) {
  if (family == nullptr && dice.once_in(3)) family = find_family("conv");
  if (family == nullptr) {
    const auto all = families();
    family = &all[static_cast<size_t>(dice.below(static_cast<int64_t>(all.size())))];
  }
  return family->draw(dice, budget);
}

Dice dice_of(uint64_t seed, int64_t index) {
  return Dice(seed * 0x9e3779b97f4a7c15ULL + static_cast<uint64_t>(index));
}

}  // namespace narrow::kernel_cases
