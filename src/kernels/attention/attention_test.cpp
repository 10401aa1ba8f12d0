#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include "base/aligned.h"
#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

enum class Order { bshd, bhsd };

AttentionStrides strides_of(Order order, int64_t heads, int64_t rows, int64_t dim) {
  if (order == Order::bshd) return {rows * heads * dim, dim, heads * dim};
  return {heads * rows * dim, rows * dim, dim};
}

struct Case {
  AttentionSpec s;
  Stored q, k, v;
  std::vector<float> mask;
};

enum class Mask { none, keys, full };

Case make_case(AttentionSpec s, Order order, Mask mask, Random& random) {
  s.q_strides = strides_of(order, s.heads, s.q_len, s.head_dim);
  s.k_strides = strides_of(order, s.kv_heads, s.kv_len, s.head_dim);
  s.v_strides = strides_of(order, s.kv_heads, s.kv_len, s.v_dim);
  s.dst_strides = strides_of(order, s.heads, s.q_len, s.v_dim);
  s.scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
  Case c{s,
         random_stored(s.q, s.batch * s.heads * s.q_len * s.head_dim, random, -1, 1),
         random_stored(s.k, s.batch * s.kv_heads * s.kv_len * s.head_dim, random, -1, 1),
         random_stored(s.v, s.batch * s.kv_heads * s.kv_len * s.v_dim, random, -1, 1),
         {}};
  if (mask == Mask::none) return c;
  c.s.mask = true, c.s.mask_column = 1, c.s.mask_batch = s.kv_len;
  if (mask == Mask::full)
    c.s.mask_row = s.kv_len, c.s.mask_head = s.q_len * s.kv_len, c.s.mask_batch = s.heads * c.s.mask_head;
  const int64_t count = s.batch * c.s.mask_batch;
  // Key 0 stays: in a row of only -10000 the scores themselves would round to 2^-10.
  for (int64_t i = 0; i < count; ++i)
    c.mask.push_back(i % s.kv_len > 0 && random.integer(0, 3) == 0
                         ? -10000.0F
                         : static_cast<float>(random.uniform(-1, 1)));
  return c;
}

Stored run(const Case& c, Isa isa, int threads) {
  ThreadPool pool(threads);
  AlignedBuffer scratch(attention_scratch_bytes(c.s, isa, threads));
  std::memset(scratch.data(), 0xff, static_cast<size_t>(scratch.bytes()));  // NaN: nothing may leak from it
  Stored dst(c.s.dst, c.s.batch * c.s.heads * c.s.q_len * c.s.v_dim);
  attention(c.s, {c.q.data(), c.k.data(), c.v.data(), c.mask.data(), dst.data(), scratch.data()}, isa, pool);
  return dst;
}

/// |q|, |k|, |v| <= 1 (stored: 1.1). A score is off by ds = scale * d * 1.2 * e, where e = (d + 1) u for FP32
/// sums plus 2^-8 when q and k are rounded to bf16; weights then by 2 ds relatively, by 2^-8 when rounded to
/// bf16, by (n + 8) u from sums and exp; so the result by that times max|v|, by 2^-9 when v is rounded, and
/// by the rounding to dst.
float tolerance(const AttentionSpec& s, bool amx, float want) {
  const float u = 0x1p-24F, d = static_cast<float>(s.head_dim), n = static_cast<float>(s.kv_len);
  const bool bytes = is_int8(s.q.type) || is_int8(s.k.type);
  const float score =
      s.scale * d * 1.2F * ((d + 1) * u + (amx && bytes ? 0x1p-8F : 0)) + (s.mask ? 4 * u : 0);
  const float weight = 2 * score + (n + 8) * u * 2 + (amx ? 0x1p-8F : 0);
  return 1.1F * weight + (amx && is_int8(s.v.type) ? 0x1p-8F : 0) + 2 * rounding_error(s.dst, want);
}

void expect_near_reference(const Case& c) {
  Stored want(c.s.dst, c.s.batch * c.s.heads * c.s.q_len * c.s.v_dim);
  attention_reference(c.s, {c.q.data(), c.k.data(), c.v.data(), c.mask.data(), want.data(), nullptr});
  for (const Isa isa : isas_here()) {
    const Stored got = run(c, isa, 2);
    for (int64_t i = 0; i < want.count(); ++i)
      ASSERT_NEAR(want.real(i), got.real(i), tolerance(c.s, isa == Isa::amx, want.real(i)) * 1.0001F)
          << to_string(isa) << ' ' << to_string(c.s.q.type) << " q_len " << c.s.q_len << " kv_len "
          << c.s.kv_len << " dim " << c.s.head_dim << (c.s.causal ? " causal" : "")
          << (c.s.mask ? " mask" : "") << " at " << i;
  }
}

AttentionSpec spec_of(int64_t heads, int64_t kv_heads, int64_t q_len, int64_t kv_len, int64_t dim,
                      int64_t v_dim, const Format& format) {
  AttentionSpec s;
  s.batch = 2, s.heads = heads, s.kv_heads = kv_heads, s.q_len = q_len, s.kv_len = kv_len, s.head_dim = dim,
  s.v_dim = v_dim;
  s.q = s.k = s.v = s.dst = format;
  return s;
}

std::vector<Format> formats() {
  return {{DType::f32, {}},
          {DType::bf16, {}},
          {DType::f16, {}},
          {DType::u8, {1 / 128.0F, 128}},
          {DType::s8, {1 / 127.0F, 0}}};
}

TEST(Attention, FollowsTheReference) {
  Random random(91);
  for (const Format& format : formats())
    for (const Order order : {Order::bshd, Order::bhsd})
      for (const Mask mask : {Mask::none, Mask::keys, Mask::full})
        for (const bool causal : {false, true}) {
          for (AttentionSpec s :
               {spec_of(2, 2, 1, 1, 8, 8, format), spec_of(4, 2, 33, 47, 64, 64, format),
                spec_of(3, 1, 7, 100, 31, 17, format), spec_of(1, 1, 70, 65, 96, 128, format)}) {
            s.causal = causal, s.causal_offset = s.kv_len - s.q_len;
            expect_near_reference(make_case(s, order, mask, random));
          }
        }
}

TEST(Attention, MixedFormats) {
  Random random(92);
  AttentionSpec s = spec_of(2, 1, 20, 40, 32, 32, {DType::bf16, {}});
  s.v = {DType::u8, {1 / 128.0F, 128}}, s.dst = {DType::f32, {}};
  expect_near_reference(make_case(s, Order::bshd, Mask::keys, random));
  s.q = {DType::f32, {}};
  expect_near_reference(make_case(s, Order::bshd, Mask::keys, random));
}

TEST(Attention, ARowThatSeesNothingGivesZero) {
  Random random(93);
  for (const Format& format : {Format{DType::f32, {}}, Format{DType::bf16, {}}}) {
    AttentionSpec s = spec_of(1, 1, 5, 9, 16, 16, format);
    s.causal = true, s.causal_offset = -2;
    Case c = make_case(s, Order::bhsd, Mask::full, random);
    for (int64_t j = 0; j < 9; ++j) c.mask[static_cast<size_t>(4 * 9 + j)] = -INFINITY;
    for (const Isa isa : isas_here()) {
      const Stored got = run(c, isa, 1);
      for (const int64_t row : {0, 1, 4})
        for (int64_t d = 0; d < 16; ++d) EXPECT_EQ(got.real(row * 16 + d), 0.0F) << to_string(isa);
      EXPECT_NE(got.real(2 * 16), 0.0F);
    }
  }
}

TEST(Attention, SameBitsForEveryThreadCount) {
  Random random(94);
  for (const Format& format : formats()) {
    const Case c = make_case(spec_of(4, 2, 130, 90, 40, 40, format), Order::bshd, Mask::keys, random);
    for (const Isa isa : isas_here()) {
      const Stored one = run(c, isa, 1);
      for (const int threads : {2, 3}) EXPECT_EQ(one.bytes, run(c, isa, threads).bytes) << to_string(isa);
    }
  }
}

}  // namespace
}  // namespace narrow::kernels
