#include "tensor/packing.h"

#include <gtest/gtest.h>

namespace narrow {
namespace {

constexpr DType kNarrow[] = {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz,
                             DType::f8e8m0,   DType::f6e2m3,     DType::f6e3m2, DType::f4e2m1,
                             DType::s4,       DType::u4,         DType::s2,     DType::u2};

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int v : values) out.push_back(static_cast<char>(v));
  return out;
}

TEST(Packing, LiesAsInOnnxFiles) {
  EXPECT_EQ(pack(cast(Tensor::of<float>({3}, {1, -2, 7}), DType::s4)), bytes({0xe1, 0x07}));
  EXPECT_EQ(pack(cast(Tensor::of<float>({5}, {1, -2, -1, 0, 1}), DType::s2)), bytes({0x39, 0x01}));
  EXPECT_EQ(pack(cast(Tensor::of<float>({2}, {0.5F, -6}), DType::f4e2m1)), bytes({0xf1}));
  EXPECT_EQ(pack(cast(Tensor::of<float>({2}, {1, 448}), DType::f8e4m3fn)), bytes({0x38, 0x7e}));
  EXPECT_EQ(pack(Tensor::of<int16_t>({1}, {0x1234})), bytes({0x34, 0x12}));
  EXPECT_EQ(stored_bytes(DType::s4, int64_t{1} << 61), int64_t{1} << 60);
}

/// Any bytes of a file are some tensor, and come back.
TEST(Packing, EveryByteUnpacks) {
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  for (const DType type : kNarrow) {
    const int64_t count = 256 * 8 / bits_of(type) / 4 * 4;  // whole bytes at 6 bits too
    const std::string given = all.substr(0, static_cast<size_t>(stored_bytes(type, count)));
    const Tensor tensor = unpack(type, {count}, given.data());
    EXPECT_EQ(pack(tensor), given) << to_string(type);
    EXPECT_EQ(pack(unpack(type, {count}, pack(tensor).data())), given);
    EXPECT_EQ(to_floats(tensor).size(), static_cast<size_t>(count));
  }
}

TEST(Packing, SignsSurvive) {
  const std::string nibbles = bytes({0x8f, 0x07});
  EXPECT_EQ(to_ints(unpack(DType::s4, {3}, nibbles.data())), (std::vector<int64_t>{-1, -8, 7}));
  EXPECT_EQ(to_ints(unpack(DType::u4, {3}, nibbles.data())), (std::vector<int64_t>{15, 8, 7}));
  EXPECT_EQ(to_ints(unpack(DType::s2, {4}, nibbles.data())), (std::vector<int64_t>{-1, -1, 0, -2}));
}

/// int3 in u4: every value of every number of bits, in as many bits as it needs.
TEST(Packing, FewerBitsThanTheTypeHas) {
  for (const DType type : {DType::u4, DType::s4, DType::u2, DType::s2}) {
    const bool with_sign = type == DType::s4 || type == DType::s2;
    for (int bits = 1; bits <= bits_of(type); ++bits) {
      const int64_t low = with_sign ? -(int64_t{1} << (bits - 1)) : 0;
      std::vector<int64_t> values;
      for (int64_t i = 0; i < 11 * (int64_t{1} << bits); ++i)
        values.push_back(low + i % (int64_t{1} << bits));
      const Tensor tensor = cast(Tensor::of(Shape{static_cast<int64_t>(values.size())}, values), type);
      EXPECT_EQ(bits_used(tensor), bits) << to_string(type);
      const std::string packed = pack_into(tensor, bits);
      EXPECT_EQ(packed.size(), (values.size() * static_cast<size_t>(bits) + 7) / 8);
      EXPECT_EQ(to_ints(unpack_from(type, tensor.shape(), packed.data(), bits)), values) << to_string(type);
      if (bits == bits_of(type)) {
        EXPECT_EQ(packed, pack(tensor));
      }
    }
  }
  EXPECT_EQ(bits_used(Tensor::zeros(DType::u4, {3})), 1);
  EXPECT_EQ(bits_used(Tensor::zeros(DType::f4e2m1, {3})), 4);
  EXPECT_EQ(bits_used(Tensor::zeros(DType::f32, {3})), 32);
}

/// Each narrow type into each: numbers all of them hold.
TEST(Packing, UnitsTakeLessThanTwoBits) {
  for (const DType type : {DType::s4, DType::s2})
    for (const int64_t count : {1, 5, 8, 41, 243}) {
      std::vector<int64_t> trits, signs;
      for (int64_t i = 0; i < count; ++i)
        trits.push_back((i * i + 1) % 3 - 1), signs.push_back(i % 3 == 0 ? -1 : 1);
      trits[0] = 0;
      const Tensor three = cast(Tensor::of(Shape{count}, trits), type),
                   two = cast(Tensor::of(Shape{count}, signs), type);
      EXPECT_EQ(packing_of(three), Packing::trits);
      EXPECT_EQ(packing_of(two), Packing::signs);
      EXPECT_EQ(pack_units(three, Packing::trits).size(), static_cast<size_t>((count + 4) / 5));
      EXPECT_EQ(pack_units(two, Packing::signs).size(), static_cast<size_t>((count + 7) / 8));
      EXPECT_EQ(
          to_ints(unpack_units(type, {count}, pack_units(three, Packing::trits).data(), Packing::trits)),
          trits);
      EXPECT_EQ(to_ints(unpack_units(type, {count}, pack_units(two, Packing::signs).data(), Packing::signs)),
                signs);
    }
  EXPECT_EQ(packing_of(cast(Tensor::of<float>({3}, {1, -2, 0}), DType::s4)), Packing::bits);
  EXPECT_EQ(packing_of(cast(Tensor::of<float>({3}, {1, 1, 0}), DType::u4)), Packing::bits);
}

TEST(Packing, EveryPairOfTypesCasts) {
  const Tensor ones = Tensor::of<float>({2}, {1, 1});
  for (const DType from : kNarrow)
    for (const DType to : kNarrow)
      EXPECT_EQ(to_floats(cast(cast(ones, from), to)), to_floats(ones)) << to_string(from) << to_string(to);
}

TEST(Packing, EveryNarrowTypeHasItsName) {
  for (const DType type : kNarrow) {
    EXPECT_EQ(parse_dtype(to_string(type)), type);
    EXPECT_EQ(bytes_of(type), 1);
    EXPECT_TRUE(is_narrow(type) && is_float(type) != is_integer(type));
  }
}

}  // namespace
}  // namespace narrow
