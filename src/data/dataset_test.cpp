// dataset.toml and the data sets it describes.
#include "data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "data/jpeg_maker.h"
#include "data/npz.h"

namespace narrow::data {
namespace {

using testing::HasSubstr;

Tensor iota(Shape shape, float first = 0) {
  Tensor t = Tensor::allocate(DType::f32, std::move(shape));
  for (float& x : t.mutable_data<float>()) x = first++;
  return t;
}

const std::vector<InputSpec> kOneInput = {{.name = "x", .dtype = DType::f32, .dims = {-1, 2}}};

class DatasetTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Dataset>> open(const std::string& toml,
                                        const std::vector<InputSpec>& inputs = kOneInput) {
    return open_dataset(folder_.write("dataset.toml", toml), inputs);
  }
  void expect_refused(const std::string& toml, const std::string& message,
                      const std::vector<InputSpec>& inputs = kOneInput, Code code = Code::invalid_data) {
    const auto dataset = open(toml, inputs);
    ASSERT_FALSE(dataset.ok()) << toml;
    EXPECT_EQ(dataset.error().code, code) << dataset.error().message();
    EXPECT_THAT(dataset.error().message(), HasSubstr(message)) << toml;
  }
  void npz(const std::string& name, const TensorMap& arrays) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    ASSERT_TRUE(write_npz(folder_ / name, arrays).ok());
  }

  TestFolder folder_;
  ThreadPool pool_{2};
};

TEST_F(DatasetTest, BadDescriptionsNameTheKey) {
  npz("a.npz", {{"x", iota({3, 2})}});
  for (const auto& [toml, message] : {
           std::pair{"", "'kind'"},
           {"kind = 3", "'kind'"},
           {"kind = \"video\"", "\"video\""},
           {"kind = \"text\"", "token windows"},
           {"kind = \"tensors\"\nshuffle = true", "'shuffle'"},
           {"kind = \"tensors\"\nsize = [224]", "'size'"},
           {"kind = \"tensors\"\nsize = [0, 224]", "'size'"},
           {"kind = \"tensors\"\nsize = [nan, 224]", "'size'"},
           {"kind = \"tensors\"\nsize = [1.5, 224]", "'size'"},
           {"kind = \"tensors\"\nsize = [65536, 65536]", "'size'"},
           {"kind = \"tensors\"\nsize = \"big\"", "'size'"},
           {"kind = \"tensors\"\nmean = [\"a\"]", "'mean'"},
           {"kind = \"tensors\"\nstd = [1, 0]", "'std'"},
           {"kind = \"tensors\"\nmean = [1, 2]\nstd = [1, 2, 3]", "'std'"},
           {"kind = \"tensors\"\nscale = \"1\"", "'scale'"},
           {"kind = \"tensors\"\nchannels = \"CMYK\"", "'channels'"},
           {"kind = \"tensors\"\nlayout = \"NCWH\"", "'layout'"},
           {"kind = \"tensors\"\ntargets = \"y\"", "'targets'"},
           {"kind = \"tensors\"\nfiles = \"*.npy\"", "*.npy"},
           {"kind = \"tensors\"\nlabels = \"y\"", "'y'"},
           {"kind = \"tensors\"\nnext_token = \"y\"", "'next_token'"},
           {"kind = \"tensors\"\nscale = inf", "'scale'"},
           {"kind = \"tensors\"\nmean = [nan]", "'mean'"},
           {"kind = \"tensors\"\nfiles = \"50%*.npy\"", "50%*.npy"},
           {"kind = \"tensors\"\x01", "control"},
           {"kind = [", "TOML"},
           {"# h\xc3\xb6he\nkind = \"tensors\" \xe2\x80\xa6", "toml:2: expected TOML"},
           {"a = \"\"\"\n\xc3\xb6 \" \\\" '\n\"\"\" \xc3", "toml:3: expected TOML"},
           {"a = \"\xc3\xb6\"\nb = '''\xc3\xb6'''\nkind = \"tensors\"", "'a'"},
           {"a = \"\xc3\xb6\nkind = \"tensors\"", "TOML"},
       })
    expect_refused(toml, message);
  expect_refused("kind = \"tensors\"\nroot = \"elsewhere\"", "elsewhere", kOneInput, Code::not_found);
}

TEST_F(DatasetTest, BatchesRunAcrossFiles) {
  npz("data/1.npz", {{"x", iota({3, 2}, 0)}, {"y", Tensor::of<int64_t>({3}, {0, 1, 2})}});
  npz("data/2.npz", {{"x", iota({0, 2})}, {"y", Tensor::of<int64_t>({0}, std::vector<int64_t>{})}});
  npz("data/3.npz", {{"x", iota({4, 2}, 6)}, {"y", Tensor::of<int64_t>({4}, {3, 4, 5, 6})}});
  const auto dataset =
      open("kind = \"tensors\"\nroot = \"data\"\nlabels = \"y\"\ntargets = [\"x\"]\nmetric = \"top1\"");
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  ASSERT_EQ((*dataset)->size(), 7);
  EXPECT_EQ((*dataset)->info().metric, "top1");
  EXPECT_TRUE((*dataset)->info().has_labels);
  for (int64_t first = 0; first < 7; ++first)
    for (int64_t count = 1; first + count <= 7; ++count) {
      const auto batch = (*dataset)->read(first, count, pool_);
      ASSERT_TRUE(batch.ok());
      EXPECT_EQ(batch->count, count);
      EXPECT_TRUE(batch->inputs.at("x").same_bits(iota({count, 2}, static_cast<float>(2 * first))));
      EXPECT_TRUE(batch->targets.at("x").same_bits(batch->inputs.at("x")));
      for (int64_t i = 0; i < count; ++i) EXPECT_EQ(batch->labels.at(static_cast<size_t>(i)), first + i);
    }
}

TEST_F(DatasetTest, ArraysMustFitTheModelAndEachOther) {
  const std::string toml = "kind = \"tensors\"\nlabels = \"y\"";
  const Tensor labels = Tensor::of<int64_t>({3}, {0, 1, 2});
  const auto refused = [&](const TensorMap& arrays, const std::string& message,
                           const std::vector<InputSpec>& inputs = kOneInput) {
    npz("a.npz", arrays);
    expect_refused(toml, message, inputs);
  };
  refused({{"y", labels}}, "'x'");
  refused({{"x", iota({3, 3})}, {"y", labels}}, "[3,3]");
  refused({{"x", iota({3, 2, 1})}, {"y", labels}}, "[3,2,1]");
  refused({{"x", iota({2, 2})}, {"y", labels}}, "2 samples");
  refused({{"x", iota({3, 2})}, {"y", iota({3})}}, "class index");
  refused({{"x", iota({3, 2})}, {"y", Tensor::of<int64_t>({3}, {0, -1, 2})}}, ">= 0");
  refused({{"x", iota({3, 2})}, {"y", Tensor::scalar<int64_t>(1)}}, "scalar");
  refused({{"x", iota({0, 2})}, {"y", Tensor::of<int64_t>({0}, std::vector<int64_t>{})}},
          "at least one sample");
  refused({{"x", iota({3, 2})}, {"y", labels}}, "s64", {{.name = "x", .dtype = DType::s64, .dims = {-1, 2}}});
}

TEST_F(DatasetTest, FilesOfDifferentRowsAreRefused) {
  const std::vector<InputSpec> free = {{.name = "x", .dtype = DType::f32, .dims = {-1, -1}}};
  npz("1.npz", {{"x", iota({1, 2})}});
  npz("2.npz", {{"x", iota({1, 200})}});
  expect_refused("kind = \"tensors\"", "[1,200]", free);
  npz("2.npz", {{"x", cast(iota({1, 2}), DType::f64)}});
  expect_refused("kind = \"tensors\"", "f64", free);
}

TEST_F(DatasetTest, NormalisesFloatsPerChannel) {
  npz("a.npz",
      {{"x", cast(iota({2, 3, 2}), DType::u8)}, {"ids", Tensor::of<int64_t>({2, 3}, {1, 2, 3, 4, 5, 6})}});
  const std::vector<InputSpec> inputs = {{.name = "x", .dtype = DType::f32, .dims = {-1, 3, 2}},
                                         {.name = "ids", .dtype = DType::s64, .dims = {-1, 3}}};
  const std::string keys = "scale = 2\nmean = [1, 2, 3]\nstd = [2, 4, 8]\n";
  const auto planar = open("kind = \"tensors\"\n" + keys, inputs);
  ASSERT_TRUE(planar.ok()) << planar.error().message();
  const auto batch = (*planar)->read(0, 2, pool_);
  const auto x = to_floats(batch->inputs.at("x"));
  const float mean[] = {1, 2, 3}, std[] = {2, 4, 8};
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(x[i], (static_cast<float>(i) * 2 - mean[i / 2 % 3]) / std[i / 2 % 3]);
  EXPECT_EQ(to_ints(batch->inputs.at("ids")), (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));
  expect_refused("kind = \"tensors\"\nlayout = \"NHWC\"\n" + keys, "1 or 2", inputs);
}

TEST_F(DatasetTest, NormalisationMustFitEveryInput) {
  npz("a.npz", {{"x", iota({1, 2})}, {"z", iota({1, 5})}});
  expect_refused("kind = \"tensors\"\nmean = [1, 2]", "'z'",
                 {{.name = "x", .dtype = DType::f32, .dims = {-1, 2}},
                  {.name = "z", .dtype = DType::f32, .dims = {-1, 5}}});
}

/// A recurrent model: x[N,2], its state [2,N,3] and a rate that is one number.
const std::vector<InputSpec> kWithState = {{.name = "state", .dtype = DType::f32, .dims = {2, -1, 3}},
                                           {.name = "x", .dtype = DType::f32, .dims = {-1, 2}},
                                           {.name = "rate", .dtype = DType::s64, .dims = {}}};

TEST_F(DatasetTest, StatesMayLieAlongALaterAxis) {
  npz("a.npz", {{"x", iota({4, 2})}, {"state", iota({2, 4, 3})}, {"rate", Tensor::scalar<int64_t>(16000)}});
  const auto dataset = open_dataset(folder_ / "a.npz", kWithState);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->size(), 4);
  EXPECT_EQ((*dataset)->batch_of(8), 1);
  const auto batch = (*dataset)->read(2, 1, pool_);
  ASSERT_TRUE(batch.ok());
  EXPECT_TRUE(batch->inputs.at("x").same_bits(iota({1, 2}, 4)));
  EXPECT_TRUE(batch->inputs.at("state").same_bits(Tensor::of<float>({2, 1, 3}, {6, 7, 8, 18, 19, 20})));
  EXPECT_TRUE(batch->inputs.at("rate").same_bits(Tensor::scalar<int64_t>(16000)));
}

TEST_F(DatasetTest, StatesMayBeWholeInputsOneBehindTheOther) {
  npz("a.npz",
      {{"x", iota({3, 2})}, {"state", iota({3, 2, 1, 3})}, {"rate", Tensor::of<int64_t>({3}, {8, 16, 8})}});
  const auto dataset = open_dataset(folder_ / "a.npz", kWithState);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->size(), 3);
  const auto batch = (*dataset)->read(1, 1, pool_);
  ASSERT_TRUE(batch.ok());
  EXPECT_TRUE(batch->inputs.at("state").same_bits(iota({2, 1, 3}, 6)));
  EXPECT_TRUE(batch->inputs.at("rate").same_bits(Tensor::scalar<int64_t>(16)));
}

TEST_F(DatasetTest, OneFilePerSampleMayHoldTheInputsAsTheyAre) {
  for (const int64_t i : {0, 1})
    npz(std::to_string(i) + ".npz", {{"x", iota({1, 2}, static_cast<float>(i))},
                                     {"state", iota({2, 1, 3}, static_cast<float>(i))},
                                     {"rate", Tensor::scalar<int64_t>(i)}});
  for (const int64_t fixed : {-1, 1}) {
    std::vector<InputSpec> inputs = kWithState;
    inputs[0].dims[1] = inputs[1].dims[0] = fixed;
    if (fixed > 0) std::swap(inputs[0], inputs[1]);  // a state first would pass for the batch
    const auto dataset = open("kind = \"tensors\"", inputs);
    ASSERT_TRUE(dataset.ok()) << dataset.error().message();
    EXPECT_EQ((*dataset)->size(), 2);
    const auto batch = (*dataset)->read(1, 1, pool_);
    ASSERT_TRUE(batch.ok());
    EXPECT_TRUE(batch->inputs.at("state").same_bits(iota({2, 1, 3}, 1)));
    EXPECT_TRUE(batch->inputs.at("rate").same_bits(Tensor::scalar<int64_t>(1)));
  }
}

TEST_F(DatasetTest, StatesOfAnotherCountAreRefused) {
  npz("a.npz", {{"x", iota({4, 2})}, {"state", iota({2, 3, 3})}, {"rate", Tensor::scalar<int64_t>(1)}});
  const auto dataset = open_dataset(folder_ / "a.npz", kWithState);
  ASSERT_FALSE(dataset.ok());
  EXPECT_THAT(dataset.error().message(), HasSubstr("'state'"));
}

TEST_F(DatasetTest, AFixedBatchIsFedWhole) {
  npz("a.npz", {{"x", iota({7, 2})}});
  const auto dataset = open_dataset(folder_ / "a.npz", {{.name = "x", .dtype = DType::f32, .dims = {3, 2}}});
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->batch_of(1), 3);
  EXPECT_EQ((*dataset)->batch_of(8), 3);
  EXPECT_EQ((*dataset)->size(), 6);  // the seventh would be a batch of one
}

TEST_F(DatasetTest, ArraysWithoutADescription) {
  npz("a.npz", {{"x", iota({3, 2})}, {"unused", iota({1})}});
  const auto dataset = open_dataset(folder_ / "a.npz", kOneInput);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  EXPECT_EQ((*dataset)->size(), 3);
  EXPECT_EQ((*dataset)->batch_of(8), 8);
  const auto fixed = open_dataset(folder_ / "a.npz", {{.name = "x", .dtype = DType::f32, .dims = {1, 2}}});
  EXPECT_EQ((*fixed)->batch_of(8), 1);
  folder_.write("a.npy", TestFolder::read(folder_ / "a.npz"));
  EXPECT_EQ(open_dataset(folder_ / "a.npy", kOneInput).error().code, Code::invalid_data);
  EXPECT_EQ(open_dataset(folder_ / "missing.npz", kOneInput).error().code, Code::not_found);
  EXPECT_EQ(open_dataset(folder_ / "missing", kOneInput).error().code, Code::not_found);
  EXPECT_EQ(open_dataset(folder_.path(), kOneInput).error().code, Code::invalid_data);
  EXPECT_EQ(open_dataset(folder_.write("a.txt", "x"), kOneInput).error().code, Code::invalid_data);
}

TEST_F(DatasetTest, HashFollowsDescriptionAndContent) {
  const std::string toml = "kind = \"tensors\"";
  npz("a.npz", {{"x", iota({3, 2})}});
  const std::string hash = (*open(toml))->info().hash;
  EXPECT_EQ((*open(toml))->info().hash, hash);
  EXPECT_NE((*open(toml + "\nscale = 2"))->info().hash, hash);
  npz("a.npz", {{"x", iota({3, 2}, 1)}});
  EXPECT_NE((*open(toml))->info().hash, hash);
}

const std::vector<InputSpec> kPhoto = {{.name = "x", .dtype = DType::f32, .dims = {-1, 3, 8, 12}}};

TEST_F(DatasetTest, PhotosAreResizedNormalisedAndLabelled) {
  folder_.write("p/b.jpg", encode_jpeg(gradient(8, 12)));
  folder_.write("p/a.jpg", encode_jpeg(gradient(30, 30)));
  folder_.write("p/labels.tsv", "file\tclass\nb.jpg\t7\tbird\r\na.jpg\t3\n");
  const std::string toml = "kind = \"images\"\nroot = \"p\"\nlabels = \"labels.tsv\"\n";
  const auto dataset = open(toml + "scale = 0.5\nmean = [1, 2, 3]\nstd = [2, 4, 8]\n", kPhoto);
  ASSERT_TRUE(dataset.ok()) << dataset.error().message();
  ASSERT_EQ((*dataset)->size(), 2);
  const auto batch = (*dataset)->read(0, 2, pool_);
  ASSERT_TRUE(batch.ok());
  EXPECT_EQ(batch->labels, (std::vector<int64_t>{3, 7}));
  const Tensor& x = batch->inputs.at("x");
  ASSERT_EQ(x.shape(), (Shape{2, 3, 8, 12}));
  const float mean[] = {1, 2, 3}, std[] = {2, 4, 8};
  int64_t i = 0;
  for (const char* name : {"a.jpg", "b.jpg"}) {
    const Image image = resize(*read_jpeg(folder_ / "p" / name, Channels::rgb), 8, 12);
    for (size_t c = 0; c < 3; ++c)
      for (size_t p = 0; p < 96; ++p, ++i)
        ASSERT_EQ(x.data<float>()[static_cast<size_t>(i)],
                  (static_cast<float>(image.pixels[p * 3 + c]) * 0.5F - mean[c]) / std[c]);
  }
  // The same, interleaved and raw, in BGR.
  const auto nhwc = open(toml + "layout = \"NHWC\"\nchannels = \"BGR\"\n",
                         {{.name = "x", .dtype = DType::u8, .dims = {1, 8, 12, 3}}});
  ASSERT_TRUE(nhwc.ok()) << nhwc.error().message();
  EXPECT_EQ((*nhwc)->batch_of(8), 1);
  const auto raw = (*nhwc)->read(1, 1, pool_);
  const Image b = *read_jpeg(folder_ / "p/b.jpg", Channels::bgr);
  const auto bytes = raw->inputs.at("x").data<uint8_t>();
  EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.end()), b.pixels);
  EXPECT_EQ(raw->labels, std::vector<int64_t>{7});
}

TEST_F(DatasetTest, PhotoErrors) {
  folder_.write("p/a.jpg", encode_jpeg(gradient(8, 12)));
  const std::string toml = "kind = \"images\"\nroot = \"p\"\n";
  expect_refused(toml + "labels = \"none.tsv\"", "none.tsv", kPhoto, Code::not_found);
  folder_.write("p/labels.tsv", "b.jpg\t1\n");
  expect_refused(toml + "labels = \"labels.tsv\"", "a.jpg", kPhoto);
  for (const char* line : {"a.jpg\t-1", "a.jpg", "a.jpg\tx", "a.jpg\t1x", "a.jpg\t99999999999999999999"}) {
    folder_.write("p/labels.tsv", std::string("header\n") + line + "\n");
    expect_refused(toml + "labels = \"labels.tsv\"", "labels.tsv:2", kPhoto);
  }
  expect_refused(toml + "size = [8, 8]", "[-1,3,8,8]", kPhoto);
  expect_refused(toml + "mean = [1, 2]", "1 or 3", kPhoto);
  expect_refused(toml + "channels = \"GRAY\"", "[-1,1,8,12]", kPhoto);
  expect_refused(toml + "input = \"y\"", "'y'", kPhoto);
  expect_refused(toml, "'size'", {{.name = "x", .dtype = DType::f32, .dims = {-1, 3, -1, -1}}});
  expect_refused(toml, "'input'", {kPhoto[0], {.name = "z", .dtype = DType::f32, .dims = {-1, 3, 8, 12}}});
  folder_.write("p/b.jpg", "broken");
  const auto dataset = open(toml, kPhoto);
  ASSERT_TRUE(dataset.ok());
  const auto batch = (*dataset)->read(0, 2, pool_);
  ASSERT_FALSE(batch.ok());
  EXPECT_THAT(batch.error().message(), HasSubstr("b.jpg"));
}

}  // namespace
}  // namespace narrow::data
