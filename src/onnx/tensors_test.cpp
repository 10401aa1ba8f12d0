#include "onnx/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "ir/onnx_types.h"
#include "onnx/import.h"
#include "onnx/test_model.h"

namespace narrow::onnx {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// 0, 1, 2 of any type, in the typed field ONNX gives it. bf16 and f16 lie there as bits.
pb::TensorProto typed(DType dtype) {
  pb::TensorProto proto;
  proto.set_data_type(static_cast<int32_t>(ir::onnx_of_dtype(dtype)));
  proto.add_dims(3);
  for (int i = 0; i < 3; ++i) {
    const auto f = static_cast<float>(i);
    switch (dtype) {
      case DType::f32:
        proto.add_float_data(f);
        break;
      case DType::f64:
        proto.add_double_data(i);
        break;
      case DType::s64:
        proto.add_int64_data(i);
        break;
      case DType::u32:
      case DType::u64:
        proto.add_uint64_data(static_cast<uint64_t>(i));
        break;
      case DType::bf16:
        proto.add_int32_data(bf16(f).bits);
        break;
      case DType::f16:
        proto.add_int32_data(f16(f).bits);
        break;
      default:
        proto.add_int32_data(i);
        break;
    }
  }
  return proto;
}

TEST(ReadTensor, EveryTypeFromItsFieldAndRaw) {
  ExternalFiles files{fs::path()};
  for (int code = 1; code <= 16; ++code) {
    const auto dtype = ir::dtype_of_onnx(code);
    if (!dtype) continue;
    SCOPED_TRACE(to_string(*dtype));
    const auto tensor = read_tensor(typed(*dtype), "t", files);
    ASSERT_TRUE(tensor.ok()) << tensor.error().message();
    const float last = *dtype == DType::boolean ? 1.0F : 2.0F;
    EXPECT_THAT(to_floats(*tensor), testing::ElementsAre(0.0F, 1.0F, last));
    pb::TensorProto raw;
    write_tensor(*tensor, "t", &raw);
    const auto again = read_tensor(raw, "t", files);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_TRUE(again->same_bits(*tensor));
  }
}

TEST(ReadTensor, RawBytesOfBoolAreNormalised) {
  pb::TensorProto proto;
  proto.set_data_type(pb::TensorProto::BOOL);
  proto.add_dims(2);
  proto.set_raw_data(std::string("\x00\xff", 2));
  ExternalFiles files{fs::path()};
  const auto tensor = read_tensor(proto, "t", files);
  ASSERT_TRUE(tensor.ok());
  EXPECT_THAT(to_ints(*tensor), testing::ElementsAre(0, 1));
}

void expect_bad(const pb::TensorProto& proto, Code code, const std::string& part) {
  ExternalFiles files{fs::path(testing::TempDir())};
  const auto tensor = read_tensor(proto, "initializer 'w'", files);
  ASSERT_FALSE(tensor.ok()) << part;
  EXPECT_EQ(tensor.error().code, code);
  EXPECT_THAT(tensor.error().message(), HasSubstr("initializer 'w'"));
  EXPECT_THAT(tensor.error().message(), HasSubstr(part));
}

TEST(ReadTensor, SizesThatDisagree) {
  pb::TensorProto proto = typed(DType::f32);
  proto.set_dims(0, 4);
  expect_bad(proto, Code::invalid_model, "4 elements in float_data for f32[4]");
  proto.set_raw_data("12345");
  expect_bad(proto, Code::invalid_model, "16 bytes in raw_data");
  proto.set_dims(0, -4);
  expect_bad(proto, Code::invalid_model, "-4");
  for (int i = 0; i < 3; ++i) proto.add_dims(int64_t{1} << 40);
  proto.set_dims(0, 0);
  expect_bad(proto, Code::invalid_model, "63 bits");
  pb::TensorProto too_wide = typed(DType::s8);
  too_wide.set_int32_data(1, 300);
  expect_bad(too_wide, Code::invalid_model, "300 at index 1");
}

/// -1, 0, 1 (or what is left of -1) as ONNX packs them: bytes in raw_data, a byte per entry in int32_data.
TEST(ReadTensor, NarrowTypesArePacked) {
  struct Case {
    DType dtype;
    std::vector<int> bytes;
    std::vector<float> values;
  };
  ExternalFiles files{fs::path()};
  for (const auto& [dtype, bytes, values] :
       {Case{DType::s4, {0x0f, 0x01}, {-1, 0, 1}}, Case{DType::u4, {0x0f, 0x01}, {15, 0, 1}},
        Case{DType::s2, {0x13}, {-1, 0, 1}}, Case{DType::u2, {0x13}, {3, 0, 1}},
        Case{DType::f4e2m1, {0x0a, 0x02}, {-1, 0, 1}}, Case{DType::f8e4m3fn, {0xb8, 0, 0x38}, {-1, 0, 1}},
        Case{DType::f8e5m2, {0xbc, 0, 0x3c}, {-1, 0, 1}}, Case{DType::f8e8m0, {126, 127, 128}, {0.5F, 1, 2}},
        Case{DType::f6e3m2, {0x2c, 0xc0, 0x00}, {-1, 0, 1}}}) {
    SCOPED_TRACE(to_string(dtype));
    pb::TensorProto raw;
    raw.set_data_type(static_cast<int32_t>(ir::onnx_of_dtype(dtype)));
    raw.add_dims(3);
    pb::TensorProto fields = raw;
    for (const int b : bytes) {
      raw.mutable_raw_data()->push_back(static_cast<char>(b));
      fields.add_int32_data(b);
    }
    for (const pb::TensorProto& proto : {raw, fields}) {
      const auto tensor = read_tensor(proto, "t", files);
      ASSERT_TRUE(tensor.ok()) << tensor.error().message();
      EXPECT_EQ(to_floats(*tensor), values);
      pb::TensorProto written;
      write_tensor(*tensor, "", &written);
      EXPECT_EQ(written.raw_data(), raw.raw_data());
    }
    raw.mutable_raw_data()->push_back(0);
    expect_bad(raw, Code::invalid_model, "raw_data");
    fields.set_int32_data(0, 256);
    expect_bad(fields, Code::invalid_model, "256 at index 0");
  }
}

TEST(ReadTensor, TypesWithoutStorage) {
  for (const auto type : {pb::TensorProto::STRING, pb::TensorProto::COMPLEX64, pb::TensorProto::COMPLEX128}) {
    pb::TensorProto proto;
    proto.set_data_type(type);
    expect_bad(proto, Code::unsupported, pb::TensorProto::DataType_Name(type));
  }
  pb::TensorProto proto;
  proto.set_data_type(12345);
  expect_bad(proto, Code::unsupported, "element type 12345");
}

class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("narrow_external_" + std::to_string(::getpid()));
    fs::create_directories(folder_ / "model");
    std::string bytes(32, '\0');
    const float values[] = {1, 2, 3};
    std::memcpy(bytes.data() + 8, values, sizeof values);
    std::memcpy(bytes.data() + 20, "\x7f", 1);
    ASSERT_TRUE(write_file(folder_ / "model" / "w.bin", bytes).ok());
    ASSERT_TRUE(write_file(folder_ / "secret.bin", bytes).ok());
  }
  void TearDown() override { fs::remove_all(folder_); }

  static TestModel model(const std::string& location, const std::string& offset,
                         const std::string& length = "") {
    TestModel m(13);
    m.input("x", {3}).output("y").node("Add", {"x", "w"}, {"y"});
    pb::TensorProto& w = m.initializer("w", {3}, pb::TensorProto::FLOAT);
    w.set_data_location(pb::TensorProto::EXTERNAL);
    const std::vector<std::pair<std::string, std::string>> entries = {
        {"location", location}, {"offset", offset}, {"length", length}};
    for (const auto& [key, value] : entries) {
      if (value.empty()) continue;
      auto* entry = w.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    return m;
  }
  void expect_refused(const std::string& location, const std::string& offset, Code code) const {
    const auto result = model(location, offset).import(folder_ / "model");
    ASSERT_FALSE(result.ok()) << location << " at " << offset;
    EXPECT_EQ(result.error().code, code) << result.error().message();
  }

  fs::path folder_;
};

TEST_F(ExternalData, IsReadAlignedOrNot) {
  const auto imported = model("w.bin", "8", "12").import(folder_ / "model");
  ASSERT_TRUE(imported.ok()) << imported.error().message();
  EXPECT_THAT(to_floats(imported->graph.find_value("w")->constant()), testing::ElementsAre(1, 2, 3));
  EXPECT_GT(imported->file_bytes, 32);
  const auto shifted = model("./w.bin", "9").import(folder_ / "model");
  ASSERT_TRUE(shifted.ok()) << shifted.error().message();
  EXPECT_EQ(shifted->graph.find_value("w")->constant().elements(), 3);
}

TEST_F(ExternalData, IsPartOfTheHash) {
  const auto before = model("w.bin", "8").import(folder_ / "model");
  ASSERT_TRUE(before.ok());
  ASSERT_TRUE(write_file(folder_ / "model" / "w.bin", std::string(32, '\1')).ok());
  const auto after = model("w.bin", "8").import(folder_ / "model");
  ASSERT_TRUE(after.ok());
  EXPECT_NE(before->hash, after->hash);
}

TEST_F(ExternalData, StaysInsideTheFolderAndTheFile) {
  fs::create_symlink(folder_ / "secret.bin", folder_ / "model" / "link.bin");
  expect_refused("../secret.bin", "0", Code::invalid_model);
  expect_refused("sub/../../secret.bin", "0", Code::invalid_model);
  expect_refused((folder_ / "secret.bin").string(), "0", Code::invalid_model);
  expect_refused("link.bin", "0", Code::invalid_model);
  expect_refused("", "0", Code::invalid_model);
  expect_refused("missing.bin", "0", Code::not_found);
  expect_refused("w.bin", "24", Code::invalid_model);
  expect_refused("w.bin", "-4", Code::invalid_model);
  expect_refused("w.bin", "9223372036854775800", Code::invalid_model);
  expect_refused("w.bin", "99999999999999999999999", Code::invalid_model);
  EXPECT_FALSE(model("w.bin", "8", "16").import(folder_ / "model").ok());
}

}  // namespace
}  // namespace narrow::onnx
