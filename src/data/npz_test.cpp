#include "data/npz.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "base/test_folder.h"
#include "data/zip_maker.h"

namespace narrow::data {
namespace {

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// Parses a copy that ends where its allocation ends, so that a sanitizer sees every byte read beyond.
Result<Tensor> parse(const std::string& bytes) {
  const std::shared_ptr<std::byte[]> exact(new std::byte[bytes.size()]);
  std::memcpy(exact.get(), bytes.data(), bytes.size());
  return parse_npy({exact.get(), bytes.size()}, "x", exact);
}

const std::string kSix = floats({0, 1, 2, 3, 4, 5});

TEST(Npy, ReadsWhatNumPyWrites) {
  auto t = parse(npy_f4("(2, 3)", kSix));
  ASSERT_TRUE(t.ok()) << t.error().message();
  EXPECT_EQ(t->shape(), (Shape{2, 3}));
  EXPECT_EQ(to_floats(*t), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  for (const int version : {2, 3}) {
    t = parse(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }",
                  std::string("\1\0\2\0\xff\xff", 6), version));
    ASSERT_TRUE(t.ok());
    EXPECT_EQ(to_ints(*t), (std::vector<int64_t>{1, 2, -1}));
  }
  EXPECT_EQ(parse(npy_f4("()", floats({7})))->shape(), Shape{});
  EXPECT_EQ(parse(npy_f4("(0, 3)", ""))->shape(), (Shape{0, 3}));
  EXPECT_EQ(to_ints(*parse(
                npy("{'shape': (3,), 'fortran_order': False, 'descr': '|b1'}", std::string("\0\1\2", 3)))),
            (std::vector<int64_t>{0, 1, 1}));
}

TEST(Npy, FortranOrderIsReordered) {
  // Column by column: element (r, c) is r + 2 c.
  EXPECT_EQ(to_floats(*parse(npy_f4("(2, 3)", kSix, true))), (std::vector<float>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(to_floats(*parse(npy_f4("(6,)", kSix, true))), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  const auto cube = parse(npy_f4("(1, 2, 3)", kSix, true));
  EXPECT_EQ(to_floats(*cube), (std::vector<float>{0, 2, 4, 1, 3, 5}));
  // A header whose length leaves the payload unaligned.
  for (int pad = 0; pad < 4; ++pad) {
    const std::string dict = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}" +
                             std::string(static_cast<size_t>(pad), ' ');
    EXPECT_EQ(to_floats(*parse(npy(dict, kSix))), (std::vector<float>{0, 2, 4, 1, 3, 5}));
  }
}

TEST(Npy, RefusesWhatItCannotHold) {
  for (const char* dict : {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }",
                           "{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }",
                           "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
                           "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                           "{'descr': '<f4', 'shape': (1,), }", "{'descr': '<f4', 'fortran_order': False, }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': 1, }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (3,",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9), }",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
                           "{'descr': '<f4", "{'descr':", ""}) {
    const auto t = parse(npy(dict, floats({1, 2, 3})));
    ASSERT_FALSE(t.ok()) << dict;
    EXPECT_EQ(t.error().code, Code::invalid_data);
    EXPECT_NE(t.error().message().find("'x'"), std::string::npos);
  }
}

TEST(Npy, CutAnywhereIsAnErrorAndFlipsNeverCrash) {
  const std::string whole = npy_f4("(2, 3)", kSix, true);
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(parse(whole.substr(0, length)).ok()) << length;
  for (size_t at = 0; at < whole.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ (1 << bit));
      const auto t = parse(broken);
      if (t.ok()) (void)to_floats(*t);
    }
}

TEST(Npz, WriteThenReadGivesTheSameBits) {
  Random random(4);
  TensorMap arrays;
  const Shape shapes[] = {{}, {1}, {5}, {0}, {2, 3}, {3, 0, 2}, {2, 1, 3, 2}};
  int k = 0;
  for (const DType type : {DType::f32, DType::f64, DType::f16, DType::s8, DType::u8, DType::s16, DType::u16,
                           DType::s32, DType::u32, DType::s64, DType::u64, DType::boolean})
    for (const Shape& shape : shapes) {
      Tensor t = Tensor::allocate(DType::f32, shape);
      for (float& x : t.mutable_data<float>())
        x = static_cast<float>(random.integer(0, 1) * random.integer(0, 100));
      arrays["a/" + std::to_string(k++)] = cast(t, type);
    }
  const TestFolder folder;
  ASSERT_TRUE(write_npz(folder / "x.npz", arrays).ok());
  const auto read = read_npz(folder / "x.npz");
  ASSERT_TRUE(read.ok()) << read.error().message();
  ASSERT_EQ(read->size(), arrays.size());
  for (const auto& [name, tensor] : arrays) EXPECT_TRUE(tensor.same_bits(read->at(name))) << name;
}

TEST(Npz, WidensBf16AndRefusesNothing) {
  const TestFolder folder;
  const Tensor x = Tensor::of<float>({2}, {1.5F, -2});
  ASSERT_TRUE(write_npz(folder / "x.npz", {{"x", cast(x, DType::bf16)}}).ok());
  EXPECT_TRUE(read_npz(folder / "x.npz")->at("x").same_bits(x));
  ASSERT_TRUE(write_npz(folder / "none.npz", {}).ok());
  EXPECT_TRUE(read_npz(folder / "none.npz")->empty());
  EXPECT_EQ(write_npz(folder / "bad.npz", {{"x", Tensor()}}).error().code, Code::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(folder / "bad.npz"));
}

TEST(Npz, ReadsDeflatedAndZip64MembersAndComments) {
  const TestFolder folder;
  std::vector<float> many(5000);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i % 17);
  const std::string long_member = npy_f4("(5000,)", floats(many));
  for (const bool zip64 : {false, true}) {
    const std::string archive =
        ZipMaker()
            .add("stored.npy", npy_f4("(2, 3)", kSix), {.zip64 = zip64})
            .add("packed.npy", long_member, {.method = 8, .zip64 = zip64, .comment = "hello"})
            .add("odd name", npy_f4("()", floats({3})))
            .finish(zip64, "an archive comment");
    const auto read = read_npz(folder.write("x.npz", archive));
    ASSERT_TRUE(read.ok()) << read.error().message();
    ASSERT_EQ(read->size(), 3U);
    EXPECT_EQ(to_floats(read->at("stored")), (std::vector<float>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(to_floats(read->at("packed")), many);
    EXPECT_EQ(to_floats(read->at("odd name")), std::vector<float>{3});
  }
}

TEST(Npz, RefusesFalseClaims) {
  const TestFolder folder;
  const std::string member = npy_f4("(2, 3)", kSix);
  const auto code = [&](const std::string& archive) {
    const auto read = read_npz(folder.write("x.npz", archive));
    return read.ok() ? Code::internal : read.error().code;
  };
  for (const int64_t claim : {int64_t{0}, int64_t{1}, static_cast<int64_t>(member.size()) - 1,
                              static_cast<int64_t>(member.size()) + 1, int64_t{1} << 31})
    EXPECT_EQ(code(ZipMaker().add("a.npy", member, {.method = 8, .claimed = claim}).finish()),
              Code::invalid_data)
        << claim;
  EXPECT_EQ(
      code(ZipMaker().add("a.npy", member, {.method = 8, .zip64 = true, .claimed = INT64_MAX}).finish(true)),
      Code::invalid_data);
  EXPECT_EQ(code(ZipMaker().add("a.npy", member, {.method = 12}).finish()), Code::invalid_data);
  EXPECT_EQ(code("not a zip at all, but longer than a directory"), Code::invalid_data);
  EXPECT_EQ(code(""), Code::invalid_data);
  EXPECT_EQ(read_npz(folder / "missing.npz").error().code, Code::not_found);
}

TEST(Npz, CutAnywhereIsAnErrorAndFlipsNeverCrash) {
  const TestFolder folder;
  const std::string whole = ZipMaker()
                                .add("a.npy", npy_f4("(2, 3)", kSix, true))
                                .add("b.npy", npy_f4("(2, 3)", kSix), {.method = 8, .zip64 = true})
                                .finish(true);
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(read_npz(folder.write("x.npz", whole.substr(0, length))).ok()) << length;
  for (size_t at = 0; at < whole.size(); ++at)
    for (const int bit : {static_cast<int>(at % 8), 7}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(broken[at] ^ (1 << bit));
      const auto read = read_npz(folder.write("x.npz", broken));
      if (!read.ok()) continue;
      for (const auto& [name, tensor] : *read) (void)to_floats(tensor);
    }
}

TEST(Npz, TypesNumPyLacksAreWrittenWider) {
  const TestFolder folder;
  const Tensor small = Tensor::of<float>({3}, {1, -1, 0.5F}), whole = Tensor::of<float>({3}, {1, -1, 0});
  TensorMap arrays = {{"bf16", cast(small, DType::bf16)}, {"f8", cast(small, DType::f8e4m3fn)},
                      {"f4", cast(small, DType::f4e2m1)}, {"s4", cast(whole, DType::s4)},
                      {"s2", cast(whole, DType::s2)},     {"u4", cast(whole, DType::u4)}};
  ASSERT_TRUE(write_npz(folder / "x.npz", arrays).ok());
  const auto read = read_npz(folder / "x.npz");
  ASSERT_TRUE(read.ok()) << read.error().message();
  for (const char* name : {"bf16", "f8", "f4"}) EXPECT_TRUE(read->at(name).same_bits(small)) << name;
  for (const char* name : {"s4", "s2"}) EXPECT_TRUE(read->at(name).same_bits(cast(whole, DType::s8))) << name;
  EXPECT_TRUE(read->at("u4").same_bits(Tensor::of<uint8_t>({3}, {1, 15, 0})));
}

}  // namespace
}  // namespace narrow::data
