#include "kernels/peak/peak.h"

#include <gtest/gtest.h>

namespace narrow::kernels {
namespace {

TEST(Peak, EveryUsableKernelRuns) {
  for (const PeakKernel& kernel : peak_kernels()) {
    EXPECT_GT(kernel.operations, 0);
    if (runs_here(kernel.isa)) kernel.run();
  }
}

TEST(Peak, TheBestOfEachTypeIsTaken) {
  for (const DType type : {DType::f32, DType::bf16, DType::u8}) {
    const PeakKernel* best = peak_kernel(type);
    EXPECT_EQ(best == nullptr, usable_isa() == Isa::plain);
    for (const PeakKernel& other : peak_kernels()) {
      const bool rival = best != nullptr && other.type == best->type && runs_here(other.isa);
      EXPECT_TRUE(!rival || best->isa >= other.isa) << other.name;
    }
  }
}

}  // namespace
}  // namespace narrow::kernels
