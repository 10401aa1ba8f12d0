#include "bench/work.h"

#include <gtest/gtest.h>

#include <limits>

#include "ir/text.h"

namespace narrow::bench {
namespace {

/// A graph of one node (others are DequantizeLinear and the like before it): the last.
struct OneNode {
  ir::Graph graph;
  const ir::Node& node() const { return *graph.nodes().back(); }
};

OneNode one_node(const std::string& body) {
  auto graph = ir::parse("graph g" + body);
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  return {std::move(*graph)};
}

TEST(Macs, OfProductsAreCountedByHand) {
  const auto count = [](const std::string& body) { return macs_of(one_node(body).node()); };
  EXPECT_EQ(count("(%x: f32[2,3,8,8], %w: f32[4,3,3,3]) {\n"
                  "  %y: f32[2,4,6,6] = Conv(%x, %w)\n  return %y as \"y\"\n}\n"),
            2 * 4 * 6 * 6 * 3 * 3 * 3);
  EXPECT_EQ(count("(%x: f32[1,6,8,8], %w: f32[6,1,3,3]) {\n"
                  "  %y: f32[1,6,6,6] = Conv(%x, %w) {group=6}\n  return %y as \"y\"\n}\n"),
            6 * 6 * 6 * 3 * 3);
  // each of the 2 x 5 x 5 pixels of 2 channels is spread over 3 channels x 2 x 2
  EXPECT_EQ(count("(%x: f32[1,2,5,5], %w: f32[2,3,2,2]) {\n"
                  "  %y: f32[1,3,10,10] = ConvTranspose(%x, %w) {strides=[2,2]}\n  return %y as \"y\"\n}\n"),
            2 * 5 * 5 * 3 * 2 * 2);
  EXPECT_EQ(count("(%a: f32[7,5], %b: f32[5,3]) {\n  %y: f32[7,3] = MatMul(%a, %b)\n"
                  "  return %y as \"y\"\n}\n"),
            7 * 5 * 3);
  EXPECT_EQ(count("(%a: f32[2,1,7,5], %b: f32[4,5,3]) {\n  %y: f32[2,4,7,3] = MatMul(%a, %b)\n"
                  "  return %y as \"y\"\n}\n"),
            2 * 4 * 7 * 5 * 3);
  EXPECT_EQ(count("(%a: f32[5,7], %b: f32[5,3]) {\n  %y: f32[7,3] = Gemm(%a, %b) {transA=1}\n"
                  "  return %y as \"y\"\n}\n"),
            7 * 5 * 3);
  EXPECT_EQ(count("(%a: f32[5,7]) {\n  %y: f32[5,7] = Relu(%a)\n  return %y as \"y\"\n}\n"), 0);
}

TEST(Macs, OfAttentionMeetEachKeyOnceInEachLayout) {
  // 2 samples x 4 heads x 6 rows x 9 keys x (8 for the scores + 5 for the values)
  const int64_t macs = 2 * 4 * 6 * 9 * (8 + 5);
  EXPECT_EQ(macs_of(one_node("(%q: f32[2,4,6,8], %k: f32[2,2,9,8], %v: f32[2,2,9,5]) {\n"
                             "  %y: f32[2,4,6,5] = Attention(%q, %k, %v)\n  return %y as \"y\"\n}\n")
                        .node()),
            macs);
  EXPECT_EQ(macs_of(one_node("(%q: f32[2,6,32], %k: f32[2,9,16], %v: f32[2,9,10]) {\n"
                             "  %y: f32[2,6,20] = Attention(%q, %k, %v) {q_num_heads=4, kv_num_heads=2}\n"
                             "  return %y as \"y\"\n}\n")
                        .node()),
            macs);
}

TEST(Macs, OfRecurrentLayersMeetBothMatricesEachStep) {
  EXPECT_EQ(macs_of(one_node("(%x: f32[5,2,3], %w: f32[2,16,3], %r: f32[2,16,4]) {\n"
                             "  %y: f32[5,2,2,4], %h: f32[2,2,4], %c: f32[2,2,4] = LSTM(%x, %w, %r) "
                             "{hidden_size=4, direction=\"bidirectional\"}\n  return %y as \"y\"\n}\n")
                        .node()),
            5 * 2 * 2 * 16 * (3 + 4));
}

TEST(Macs, StopAtTheLargestNumber) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(macs_of(one_node("(%a: f32[2000000000,2000000000], %b: f32[2000000000,2]) {\n"
                             "  %y: f32[2000000000,2] = MatMul(%a, %b)\n  return %y as \"y\"\n}\n")
                        .node()),
            8'000'000'000'000'000'000);
  EXPECT_EQ(macs_of(one_node("(%a: f32[2000000000,2000000000], %b: f32[2000000000,3]) {\n"
                             "  %y: f32[2000000000,3] = MatMul(%a, %b)\n  return %y as \"y\"\n}\n")
                        .node()),
            kMost);
  EXPECT_EQ(add_counts(kMost - 1, 2), kMost);
  EXPECT_EQ(add_counts(3, 4), 7);
}

TEST(BytesMoved, AreEachValueOnceInItsType) {
  EXPECT_EQ(bytes_moved(one_node("(%x: u8[2,3], %y: f32[2,3]) {\n"
                                 "  %z: bf16[2,3] = Cast(%y) {to=16}\n  return %z as \"z\"\n}\n")
                            .node()),
            6 * 4 + 6 * 2);
  EXPECT_EQ(
      bytes_moved(one_node("(%x: f32[10]) {\n  %y: f32[10] = Mul(%x, %x)\n  return %y as \"y\"\n}\n").node()),
      2 * 10 * 4);
  // two rows of 4 of a table of 1000, and their two indices
  EXPECT_EQ(bytes_moved(one_node("(%t: f32[1000,4], %i: s64[2]) {\n  %y: f32[2,4] = Gather(%t, %i)\n"
                                 "  return %y as \"y\"\n}\n")
                            .node()),
            2 * 4 * 4 + 2 * 8 + 2 * 4 * 4);
  EXPECT_EQ(
      bytes_moved(one_node("(%x: f32[N,4]) {\n  %y: f32[N,4] = Relu(%x)\n  return %y as \"y\"\n}\n").node()),
      0);
}

TEST(ArithmeticOf, FollowsOperandsAndKernel) {
  const OneNode f32 =
      one_node("(%a: f32[7,5], %b: f32[5,3]) {\n  %y: f32[7,3] = MatMul(%a, %b)\n  return %y as \"y\"\n}\n");
  const OneNode bf16 = one_node(
      "(%a: bf16[7,5], %b: bf16[5,3]) {\n  %y: bf16[7,3] = MatMul(%a, %b)\n  return %y as \"y\"\n}\n");
  const OneNode int8 = one_node(
      "(%a: u8[7,5], %b: s8[5,3]) {\n  %y: s32[7,3] = MatMulInteger(%a, %b)\n  return %y as \"y\"\n}\n");
  const OneNode relu = one_node("(%a: f32[7,5]) {\n  %y: f32[7,5] = Relu(%a)\n  return %y as \"y\"\n}\n");
  EXPECT_EQ(arithmetic_of(f32.node(), "matmul", Isa::amx), Arithmetic::fp32);
  EXPECT_EQ(arithmetic_of(f32.node(), "conv_bf16_amx", Isa::amx), Arithmetic::bf16);  // rounds its operand
  EXPECT_EQ(arithmetic_of(f32.node(), "conv_bf16_avx512bf16", Isa::avx512_bf16), Arithmetic::bf16);
  EXPECT_EQ(arithmetic_of(f32.node(), "conv_bf16_avx512", Isa::avx512_bf16), Arithmetic::fp32);  // widens
  EXPECT_EQ(arithmetic_of(bf16.node(), "matmul", Isa::amx), Arithmetic::bf16);
  EXPECT_EQ(arithmetic_of(bf16.node(), "matmul", Isa::avx512_bf16), Arithmetic::fp32);
  EXPECT_EQ(arithmetic_of(f32.node(), "conv_f16_amx", Isa::amx), Arithmetic::bf16x3);
  EXPECT_EQ(arithmetic_of(bf16.node(), "matmul", Isa::avx512), Arithmetic::fp32);
  EXPECT_EQ(arithmetic_of(bf16.node(), "reference", Isa::amx), Arithmetic::fp32);
  EXPECT_EQ(arithmetic_of(int8.node(), "conv_int8_avx2", Isa::avx2), Arithmetic::int8);
  EXPECT_EQ(arithmetic_of(relu.node(), "unary", Isa::amx), Arithmetic::none);
}

TEST(BoundOf, IsTheLongerOfArithmeticAndBytes) {
  const Roofs roofs{.fp32_gops = 100,
                    .bf16_gops = 400,
                    .int8_gops = 800,
                    .memory_gb_s = 10,
                    .cache_gb_s = 200,
                    .cache_bytes = 1'000'000};
  // 10^9 operations at 10^11 a second: 10 ms; 2 * 10^6 bytes at 10^10 a second: 0.2 ms
  const Bound compute = bound_of(500'000'000, 2'000'000, Arithmetic::fp32, roofs);
  EXPECT_DOUBLE_EQ(compute.compute_ms, 10);
  EXPECT_DOUBLE_EQ(compute.memory_ms, 0.2);
  EXPECT_EQ(compute.limit, "compute");
  EXPECT_DOUBLE_EQ(bound_of(500'000'000, 0, Arithmetic::int8, roofs).compute_ms, 1.25);
  const Bound memory = bound_of(0, 2'000'000, Arithmetic::none, roofs);
  EXPECT_EQ(memory.compute_ms, 0);
  EXPECT_EQ(memory.limit, "memory");
  const Bound cache = bound_of(0, 1'000'000, Arithmetic::none, roofs);
  EXPECT_DOUBLE_EQ(cache.memory_ms, 0.005);
  EXPECT_EQ(cache.limit, "cache");
  EXPECT_EQ(bound_of(0, 0, Arithmetic::none, roofs).limit, "");
  EXPECT_EQ(bound_of(1, 1, Arithmetic::fp32, {}).limit, "");
  EXPECT_EQ(higher(roofs, {.fp32_gops = 120, .memory_gb_s = 9}).fp32_gops, 120);
  EXPECT_EQ(higher(roofs, {.fp32_gops = 120, .memory_gb_s = 9}).memory_gb_s, 10);
}

}  // namespace
}  // namespace narrow::bench
