#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

struct Extents {
  int64_t m, n, k;
};
const std::vector<Extents> kExtents = {{1, 1, 1},     {5, 63, 7},   {6, 64, 64},   {7, 65, 33}, {50, 50, 64},
                                       {49, 130, 31}, {16, 32, 96}, {33, 17, 100}, {3, 5, 0}};

MatMulSpec dense(const Extents& e, DType a, DType b, DType c, bool a_turned, bool b_turned) {
  MatMulSpec s;
  s.a = a, s.b = b, s.c = c, s.m = e.m, s.n = e.n, s.k = e.k;
  s.a_stride_m = a_turned ? 1 : e.k, s.a_stride_k = a_turned ? e.m : 1;
  s.b_stride_k = b_turned ? 1 : e.n, s.b_stride_n = b_turned ? e.k : 1;
  s.c_stride_m = e.n;
  s.alpha = 0.5F;
  s.batch_rank = 2;
  s.batch[0] = 2, s.batch[1] = 3;
  s.a_batch_strides[0] = 3 * e.m * e.k, s.a_batch_strides[1] = e.m * e.k;
  s.b_batch_strides[0] = 0, s.b_batch_strides[1] = e.k * e.n;  // shared by the outer batch
  s.c_batch_strides[0] = 3 * e.m * e.n, s.c_batch_strides[1] = e.m * e.n;
  return s;
}

Stored run(const MatMulSpec& s, const Stored& a, const Stored& b, Isa isa, int threads) {
  ThreadPool pool(threads);
  AlignedBuffer scratch(matmul_scratch_bytes(s, isa, threads));
  Stored c({s.c, {}}, 6 * s.m * s.n);
  matmul(s, a.data(), b.data(), c.data(), scratch.data(), isa, pool);
  return c;
}

/// Any order of k sums in FP32 is off by at most (k + 1) u sum|a b|, |a b| <= 9; then the rounding to c.
float tolerance(const MatMulSpec& s, float want) {
  const auto k = static_cast<float>(s.k);
  return std::fabs(s.alpha) * (k + 1) * 0x1p-24F * 9 * k + 2 * rounding_error({s.c, {}}, want);
}

TEST(MatMul, FollowsTheReferenceForEveryTypeAndOrientation) {
  Random random(81);
  for (const Extents& e : kExtents)
    for (const DType a : {DType::f32, DType::bf16, DType::f16})
      for (const DType b : {DType::f32, DType::bf16, DType::f16})
        for (const bool a_turned : {false, true})
          for (const bool b_turned : {false, true}) {
            const DType c =
                std::vector{DType::f32, DType::bf16, DType::f16}[static_cast<size_t>(random.integer(0, 2))];
            const MatMulSpec s = dense(e, a, b, c, a_turned, b_turned);
            const Stored x = random_stored({a, {}}, 6 * e.m * e.k, random),
                         y = random_stored({b, {}}, 3 * e.k * e.n, random);
            Stored want({c, {}}, 6 * e.m * e.n);
            matmul_reference(s, x.data(), y.data(), want.data());
            for (const Isa isa : isas_here()) {
              const Stored got = run(s, x, y, isa, 2);
              for (int64_t i = 0; i < want.count(); ++i)
                ASSERT_NEAR(want.real(i), got.real(i), tolerance(s, want.real(i)) * 1.0001F)
                    << to_string(isa) << ' ' << to_string(a) << ' ' << to_string(b) << ' ' << to_string(c)
                    << ' ' << e.m << 'x' << e.n << 'x' << e.k << (a_turned ? " aT" : "")
                    << (b_turned ? " bT" : "") << " at " << i;
            }
          }
}

TEST(MatMul, SameBitsForEveryThreadCount) {
  Random random(82);
  for (const DType type : {DType::f32, DType::bf16}) {
    const MatMulSpec s = dense({70, 90, 65}, type, type, type, false, true);
    const Stored x = random_stored({type, {}}, 6 * 70 * 65, random),
                 y = random_stored({type, {}}, 3 * 65 * 90, random);
    for (const Isa isa : isas_here())
      for (const int threads : {2, 3})
        EXPECT_EQ(run(s, x, y, isa, 1).bytes, run(s, x, y, isa, threads).bytes) << to_string(isa);
  }
}

TEST(MatMul, PitchedResultLeavesTheRestAlone) {
  MatMulSpec s = dense({4, 10, 3}, DType::f32, DType::f32, DType::f32, false, false);
  s.batch_rank = 0, s.c_stride_m = 13;
  Random random(83);
  const Stored x = random_stored({}, 12, random), y = random_stored({}, 30, random);
  for (const Isa isa : isas_here()) {
    ThreadPool pool(1);
    AlignedBuffer scratch(matmul_scratch_bytes(s, isa, 1));
    std::vector<float> c(3 * 13 + 10, 7.0F);
    matmul(s, x.data(), y.data(), c.data(), scratch.data(), isa, pool);
    for (size_t i = 0; i < 3; ++i)
      for (size_t j = 10; j < 13; ++j) EXPECT_EQ(c[i * 13 + j], 7.0F);
  }
}

}  // namespace
}  // namespace narrow::kernels
