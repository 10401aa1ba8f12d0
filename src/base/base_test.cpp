// Errors, results, hashes, random numbers, aligned memory, ISA names.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/aligned.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/result.h"

namespace narrow {
namespace {

TEST(Error, MessageLeavesEmptyPartsOut) {
  const auto message = [](const char* subject, const char* expected, const char* got, const char* hint) {
    return Error{.code = Code::io, .subject = subject, .expected = expected, .got = got, .hint = hint}
        .message();
  };
  EXPECT_EQ(message("s", "e", "g", "h"), "s: expected e, got g (h)");
  EXPECT_EQ(message("s", "e", "g", ""), "s: expected e, got g");
  EXPECT_EQ(message("s", "", "g", ""), "s: g");
  EXPECT_EQ(message("s", "e", "", ""), "s: expected e");
  EXPECT_EQ(message("s", "", "", "h"), "s (h)");
  EXPECT_EQ(message("", "e", "g", ""), "expected e, got g");
  EXPECT_EQ(message("", "", "g", ""), "g");
  EXPECT_EQ(message("", "", "", ""), "");
}

Result<std::unique_ptr<int>> make(int value) {
  if (value < 0) return Error{.code = Code::usage, .subject = "value"};
  return std::make_unique<int>(value);
}
Result<int> twice(int value) {
  NARROW_TRY(const std::unique_ptr<int> made, make(value));
  return 2 * *made;
}
Status check(int value) {
  NARROW_DO(twice(value));
  return {};
}

TEST(Result, CarriesMoveOnlyValuesAndErrorsThroughTheMacros) {
  EXPECT_EQ(*twice(21), 42);
  ASSERT_FALSE(twice(-1).ok());
  EXPECT_EQ(twice(-1).error().code, Code::usage);
  EXPECT_TRUE(check(1).ok());
  EXPECT_EQ(check(-1).error().subject, "value");
  auto taken = std::move(make(3)).value();
  EXPECT_EQ(*taken, 3);
}

TEST(ResultDeathTest, TheWrongSideIsADefect) {
  EXPECT_DEATH((void)*twice(-1), "please report");
  EXPECT_DEATH((void)twice(1).error(), "please report");
}

TEST(Hash, PublishedVectorsAndPieces) {
  // xxHash's own: XXH128 of nothing, seed 0.
  EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
  std::string long_text;
  for (int i = 0; i < 5000; ++i) long_text += static_cast<char>(i * 7);
  const std::string whole = hash_hex(long_text);
  for (const size_t cut : {0U, 1U, 240U, 241U, 1024U, 4999U})
    EXPECT_EQ(Hasher().add(long_text.substr(0, cut)).add(long_text.substr(cut)).hex(), whole) << cut;
  long_text[4000] = static_cast<char>(long_text[4000] ^ 1);
  EXPECT_NE(hash_hex(long_text), whole);
}

TEST(Random, IsXoshiroStarStarSeededBySplitmix) {
  // The first outputs of splitmix64 from 0, as published, are the state; xoshiro256** follows by hand.
  constexpr std::array<uint64_t, 4> state = {0xe220a8397b1dcdafULL, 0x6e789e6aa1b965f4ULL,
                                             0x06c45d188009454fULL, 0xf88bb8a8724c81ecULL};
  const uint64_t product = state[1] * 5;
  Random random(0);
  EXPECT_EQ(random.next(), ((product << 7) | (product >> 57)) * 9);
  EXPECT_NE(Random(1).next(), Random(2).next());
}

TEST(Random, StaysInItsBoundsAndHasItsMoments) {
  Random random(7);
  std::array<int, 3> seen{};
  for (int i = 0; i < 3000; ++i) {
    const double u = random.uniform(-2, 5);
    ASSERT_GE(u, -2);
    ASSERT_LT(u, 5);
    const int64_t k = random.integer(-1, 1);
    ASSERT_GE(k, -1);
    ASSERT_LE(k, 1);
    ++seen.at(static_cast<size_t>(k + 1));
  }
  for (const int n : seen) EXPECT_NEAR(n, 1000, 6 * 26);  // sqrt(3000 * 1/3 * 2/3) = 26
  EXPECT_EQ(random.integer(5, 5), 5);
  (void)random.integer(INT64_MIN, INT64_MAX);
  double sum = 0, square = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.normal();
    sum += x, square += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 6 / std::sqrt(kDraws));
  EXPECT_NEAR(square / kDraws, 1, 6 * std::sqrt(2.0 / kDraws));
}

TEST(AlignedBuffer, IsAlignedAndReadablePastItsEnd) {
  for (const int64_t bytes : {0, 1, 63, 64, 65, 4096}) {
    AlignedBuffer buffer(bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kCacheLine, 0U);
    if (bytes > 0) std::memset(buffer.data(), 1, static_cast<size_t>(bytes));
    for (int i = 0; i < 64; ++i) EXPECT_EQ(buffer.data()[bytes + i], std::byte{0});
    const AlignedBuffer zeros = AlignedBuffer::zeroed(bytes);
    for (int64_t i = 0; i < bytes; ++i) ASSERT_EQ(zeros.data()[i], std::byte{0});
  }
  EXPECT_EQ(round_up(0, 64), 0);
  EXPECT_EQ(round_up(65, 64), 128);
  EXPECT_EQ(div_up(65, 64), 2);
}

TEST(Cpu, AvxVnniAloneMayBeMissingBelowTheBest) {
  EXPECT_TRUE(includes(Isa::amx, Isa::avx512));
  EXPECT_TRUE(includes(Isa::avx2, Isa::avx2));
  EXPECT_FALSE(includes(Isa::avx2, Isa::avx2_vnni));
  EXPECT_FALSE(includes(Isa::avx2_vnni, Isa::avx512));
  EXPECT_EQ(includes(Isa::avx512, Isa::avx2_vnni), cpu_features().avx_vnni);
}

TEST(Cpu, Bf16ProductsAreAmxOrFastDots) {
  EXPECT_TRUE(has_bf16_products(Isa::amx));
  EXPECT_FALSE(has_bf16_products(Isa::avx512_vnni));
  EXPECT_EQ(has_bf16_products(Isa::avx512_bf16), cpu_features().fast_bf16_dots);
  EXPECT_TRUE(!cpu_features().fast_bf16_dots || cpu_features().best >= Isa::avx512_bf16);
}

TEST(Cpu, NamesRoundTripAndTheEnvironmentCaps) {
  for (const Isa isa :
       {Isa::plain, Isa::avx2, Isa::avx2_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx})
    EXPECT_EQ(parse_isa(to_string(isa)), isa);
  EXPECT_FALSE(parse_isa("sse9"));
  const char* set = std::getenv("NARROW_MAX_ISA");
  const std::string before = set == nullptr ? "" : set;
  ::setenv("NARROW_MAX_ISA", "plain", 1);
  EXPECT_EQ(usable_isa(), Isa::plain);
  ::setenv("NARROW_MAX_ISA", "nonsense", 1);
  EXPECT_EQ(usable_isa(), cpu_features().best);
  if (set == nullptr)
    ::unsetenv("NARROW_MAX_ISA");
  else
    ::setenv("NARROW_MAX_ISA", before.c_str(), 1);
  EXPECT_GE(cpu_features().cores, 1);
}

}  // namespace
}  // namespace narrow
