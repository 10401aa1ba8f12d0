#include "kernels/layout/gather.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/random.h"
#include "kernels/test_isas.h"

namespace narrow::kernels {
namespace {

TEST(Gather, TakesRowsAndRefusesIndicesOutside) {
  ThreadPool pool(2);
  const std::vector<int32_t> src = {0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121};  // [2, 3, 2]
  const std::vector<int64_t> indices = {2, -3, 1};
  std::vector<int32_t> dst(12);
  for (const Isa isa : usable_isas()) {
    EXPECT_EQ(gather_rows({2, 3, 3, 8}, dst.data(), src.data(), indices.data(), isa, pool), -1);
    EXPECT_EQ(dst, (std::vector<int32_t>{20, 21, 0, 1, 10, 11, 120, 121, 100, 101, 110, 111}));
    const std::vector<int32_t> wrong = {0, 3};
    EXPECT_EQ(gather_rows({2, 3, 2, 8}, dst.data(), src.data(), wrong.data(), isa, pool), 1);
    EXPECT_EQ(gather_rows({2, 3, 2, 1}, dst.data(), src.data(), wrong.data(), isa, pool), 1);
  }
}

/// Element by element; blocks end where memory may not be read or written.
TEST(Gather, EveryWidthOnEveryIsaAndThreadCount) {
  Random random(9);
  for (const int64_t bytes : {1, 2, 3, 4, 8})
    for (const int64_t extent : {1, 3, 48, 64, 65, 96, 128, 129, 192, 256, 257})
      for (const int64_t count : {int64_t{1}, extent / 2, extent, int64_t{300}})
        for (const auto& [outer, groups] :
             {std::pair{0, 0}, {1, 0}, {37, 0}, {400, 0}, {37, 2}, {37, 4}, {5, 5}}) {
          const GatherSpec spec{outer, extent, count, bytes};
          std::vector<uint8_t> src(static_cast<size_t>(outer * extent * bytes));
          for (uint8_t& b : src) b = static_cast<uint8_t>(random.next());
          std::vector<int64_t> indices(static_cast<size_t>(count));
          for (int64_t& i : indices)
            i = static_cast<int64_t>(random.next() % static_cast<uint64_t>(2 * extent)) - extent;
          for (int64_t i = 0; groups > 0 && i < count; ++i)  // channels shuffled
            indices[static_cast<size_t>(i)] = (i % groups * (extent / groups) + i / groups) % extent;
          std::vector<uint8_t> want(static_cast<size_t>(outer * count * bytes) + 1, 0xaa);
          for (int64_t o = 0; o < outer; ++o)
            for (int64_t i = 0; i < count; ++i)
              for (int64_t b = 0; b < bytes; ++b) {
                const int64_t at = indices[static_cast<size_t>(i)];
                want[static_cast<size_t>((o * count + i) * bytes + b)] =
                    src[static_cast<size_t>((o * extent + (at < 0 ? at + extent : at)) * bytes + b)];
              }
          for (const Isa isa : usable_isas())
            for (const int threads : {1, 3}) {
              ThreadPool pool(threads);
              std::vector<uint8_t> got(want.size(), 0xaa);
              ASSERT_EQ(gather_rows(spec, got.data(), src.data(), indices.data(), isa, pool), -1);
              ASSERT_EQ(got, want) << bytes << ' ' << extent << ' ' << count << ' ' << to_string(isa);
            }
        }
}

}  // namespace
}  // namespace narrow::kernels
