// The int8 convolutions of every instruction set against conv_reference(): equal, no tolerance.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/aligned.h"
#include "base/random.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {

ConvCandidate conv_int8_amx();
ConvCandidate conv_int8_avx512vnni();
ConvCandidate conv_int8_avx2vnni();
ConvCandidate conv_int8_avx2();
ConvCandidate conv_int8_plain();

namespace {

enum class Fill { random, all_high_low, all_high_high, all_low_low };

/// A case with its buffers. Scales are such that outputs spread over the integer range.
struct Case {
  ConvSpec spec;
  std::vector<uint8_t> src, residual;
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;

  ConvWeights conv_weights() const { return {weights.data(), spec.bias ? bias.data() : nullptr}; }
  int64_t dst_elements() const { return spec.shape.n * spec.shape.oh * spec.shape.ow * spec.shape.oc; }
};

ConvSpec spec_of(const ConvShape& shape, DType src, DType dst, DType residual, bool bias) {
  ConvSpec spec;
  spec.shape = shape;
  spec.src = src;
  spec.weights = DType::s8;
  spec.dst = dst;
  spec.residual = residual;
  spec.bias = bias;
  return spec;
}

uint8_t byte_of(DType type, int64_t value) {
  return static_cast<uint8_t>(type == DType::u8 ? std::clamp<int64_t>(value, 0, 255)
                                                : std::clamp<int64_t>(value, -128, 127));
}

void fill_residual(Case& c, Random& random) {
  c.residual.resize(static_cast<size_t>(c.dst_elements() * bytes_of(c.spec.residual)));
  for (int64_t i = 0; i < c.dst_elements(); ++i) {
    const auto x = static_cast<float>(random.normal());
    uint8_t* at = c.residual.data() + i * bytes_of(c.spec.residual);
    const bf16 b(x);
    const f16 h(x);
    if (c.spec.residual == DType::f32)
      std::memcpy(at, &x, 4);
    else if (c.spec.residual == DType::bf16)
      std::memcpy(at, &b, 2);
    else if (c.spec.residual == DType::f16)
      std::memcpy(at, &h, 2);
    else
      *at = static_cast<uint8_t>(random.next());
  }
}

Case make_case(ConvSpec spec, Fill fill, uint64_t seed) {
  Random random(seed);
  const ConvShape& s = spec.shape;
  const int64_t depth = s.kh * s.kw * (s.c / s.groups);
  spec.src_quant.scale = 0.02F;
  const float w_scale =
      0.9F / (0.02F * 74.0F * 74.0F * std::sqrt(static_cast<float>(depth)));  // sums of variance 1
  const bool per_channel = !spec.weight_scale.empty();
  spec.weight_scale.assign(per_channel ? static_cast<size_t>(s.oc) : 1, w_scale);
  if (per_channel)
    for (float& scale : spec.weight_scale) scale *= static_cast<float>(random.uniform(0.5, 2));
  spec.dst_quant.scale = 0.03F;
  spec.residual_quant.scale = 0.025F;
  Case c{spec, {}, {}, {}, {}};
  c.src.resize(static_cast<size_t>(s.n * s.h * s.w * s.c));
  for (uint8_t& x : c.src)
    x = fill == Fill::random ? static_cast<uint8_t>(random.next())
                             : byte_of(spec.src, fill == Fill::all_low_low ? -1000 : 1000);
  c.weights.resize(static_cast<size_t>(s.oc * depth));
  for (int8_t& w : c.weights)
    w = static_cast<int8_t>(fill == Fill::random          ? random.integer(-128, 127)
                            : fill == Fill::all_high_high ? 127
                                                          : -128);
  c.bias.resize(static_cast<size_t>(s.oc));
  for (int32_t& b : c.bias) b = static_cast<int32_t>(random.integer(-3000, 3000));
  if (spec.residual != DType::undefined) fill_residual(c, random);
  return c;
}

std::string describe(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  std::string text = std::string(to_string(spec.src)) + " -> " + to_string(spec.dst) + " residual " +
                     to_string(spec.residual) + " act " + to_string(spec.activation.kind);
  for (const int64_t v : {s.n, s.h, s.w, s.c, s.oh, s.ow, s.oc, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_top,
                          s.pad_left, s.dilation_h, s.dilation_w, s.groups})
    text += " " + std::to_string(v);
  return text + " zero " + std::to_string(spec.src_quant.zero_point);
}

using Bytes = std::vector<uint8_t>;

Bytes run_reference(const Case& c) {
  Bytes dst(static_cast<size_t>(c.dst_elements() * bytes_of(c.spec.dst)));
  conv_reference(c.spec, c.conv_weights(), {c.src.data(), c.residual.data(), dst.data(), nullptr});
  return dst;
}

/// A copy of bytes that ends where a page ends that may not be touched: reading on would crash.
class AtPageEnd {
 public:
  explicit AtPageEnd(const Bytes& bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t pages = (bytes.size() + page - 1) / page * page;
    size_ = pages + page;
    base_ = static_cast<uint8_t*>(
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + pages, page, PROT_NONE);
    data_ = base_ + pages - bytes.size();
    std::copy(bytes.begin(), bytes.end(), data_);
  }
  ~AtPageEnd() { munmap(base_, size_); }
  AtPageEnd(const AtPageEnd&) = delete;
  AtPageEnd& operator=(const AtPageEnd&) = delete;
  const uint8_t* data() const { return data_; }

 private:
  size_t size_ = 0;
  uint8_t *base_ = nullptr, *data_ = nullptr;
};

/// dst is the residual's memory when `in_place`. Bytes around dst must stay as they were.
Bytes run_candidate(const ConvCandidate& candidate, const Case& c, int threads, bool in_place) {
  constexpr size_t kGuard = 64;
  ThreadPool pool(threads);
  const auto packed = candidate.pack(c.spec, c.conv_weights());
  const auto kernel = candidate.create(c.spec, packed, threads);
  AlignedBuffer scratch(kernel->scratch_bytes());
  const auto size = static_cast<size_t>(c.dst_elements() * bytes_of(c.spec.dst));
  Bytes guarded(size + 2 * kGuard, 0xa5);
  uint8_t* dst = guarded.data() + kGuard;
  const AtPageEnd src(c.src);
  if (in_place) std::copy(c.residual.begin(), c.residual.end(), dst);
  kernel->run({src.data(), in_place ? dst : c.residual.data(), dst, scratch.data()}, pool);
  for (size_t i = 0; i < kGuard; ++i) {
    EXPECT_EQ(guarded[i], 0xa5);
    EXPECT_EQ(guarded[kGuard + size + i], 0xa5);
  }
  return {guarded.begin() + kGuard, guarded.begin() + static_cast<int64_t>(kGuard + size)};
}

class S8ConvTest : public testing::TestWithParam<ConvCandidate> {
 protected:
  void SetUp() override {
    if (!runs_here(GetParam().isa)) GTEST_SKIP() << to_string(GetParam().isa) << " is not usable here";
  }
  void expect_equal(const Case& c, int threads = 1) {
    SCOPED_TRACE(describe(c.spec));
    ASSERT_EQ(GetParam().unsupported(c.spec), "");
    const Bytes expected = run_reference(c), actual = run_candidate(GetParam(), c, threads, false);
    ASSERT_EQ(expected.size(), actual.size());
    const auto differs = std::mismatch(expected.begin(), expected.end(), actual.begin());
    ASSERT_TRUE(differs.first == expected.end())
        << "first difference at byte " << differs.first - expected.begin() << ": " << int{*differs.first}
        << ", got " << int{*differs.second};
    if (c.spec.residual == c.spec.dst) {
      EXPECT_EQ(run_candidate(GetParam(), c, threads, true), expected) << "in place";
    }
  }
};

ConvShape shape_of(int64_t n, int64_t h, int64_t w, int64_t c, int64_t oc, int64_t kh, int64_t kw,
                   int64_t stride, int64_t pad, int64_t dilation = 1, int64_t groups = 1) {
  ConvShape s{
      .n = n, .h = h, .w = w, .c = c, .oc = oc, .kh = kh, .kw = kw, .stride_h = stride, .stride_w = stride};
  s.pad_top = s.pad_left = pad;
  s.dilation_h = s.dilation_w = dilation;
  s.groups = groups;
  s.oh = (h + 2 * pad - (kh - 1) * dilation - 1) / stride + 1;
  s.ow = (w + 2 * pad - (kw - 1) * dilation - 1) / stride + 1;
  return s;
}

std::vector<ConvShape> shapes() {
  std::vector<ConvShape> list;
  for (const int64_t c : {1, 3, 16, 31, 64, 65, 130})  // products: around the tiles' rows, columns and depth
    for (const auto& [m, oc] :
         {std::pair<int64_t, int64_t>{1, 1}, {7, 33}, {15, 16}, {31, 17}, {33, 64}, {49, 40}})
      list.push_back(shape_of(1, 1, m, c, oc, 1, 1, 1, 0));
  list.push_back(shape_of(3, 5, 5, 20, 24, 1, 1, 1, 0));
  list.push_back(shape_of(2, 9, 8, 64, 32, 1, 1, 2, 0));
  list.push_back(shape_of(1, 7, 7, 3, 10, 1, 1, 3, 0));
  for (const int64_t c : {1, 3, 24, 64, 70}) {
    list.push_back(shape_of(1, 9, 11, c, 33, 3, 3, 1, 1));
    list.push_back(shape_of(2, 10, 9, c, 16, 3, 3, 2, 1));
    list.push_back(shape_of(1, 11, 8, c, 8, 3, 3, 1, 2, 2));
    list.push_back(shape_of(1, 12, 13, c, 5, 5, 3, 3, 1, 2));
    list.push_back(shape_of(1, 6, 6, c, 7, 2, 4, 1, 0));
  }
  list.push_back(shape_of(1, 23, 21, 3, 64, 7, 7, 2, 3));
  list.push_back(shape_of(2, 11, 13, 4, 20, 5, 5, 1, 2));  // few channels: kernel rows share a step
  list.push_back(shape_of(3, 9, 40, 2, 33, 4, 3, 2, 1));
  list.push_back(shape_of(2, 5, 70, 1, 16, 9, 2, 3, 4));
  list.push_back(shape_of(3, 4, 4, 8, 8, 3, 3, 1, 1));
  list.push_back(shape_of(1, 2, 2, 4, 4, 5, 5, 1, 4));  // mostly padding
  list.push_back(shape_of(1, 1, 1, 4, 40, 3, 3, 2, 3));
  list.push_back(shape_of(1, 8, 8, 1, 32, 16, 16, 16, 8));  // patches wider than the image
  for (const int64_t groups : {2, 3, 6, 12}) {
    list.push_back(shape_of(1, 6, 5, 12, 24, 3, 3, 1, 1, 1, groups));
    list.push_back(shape_of(2, 6, 5, 12 * 10, 12 * 7, 3, 3, 2, 1, 1, groups));
    list.push_back(shape_of(1, 5, 7, 12 * 6, 36, 1, 1, 1, 0, 1, groups));
  }
  list.push_back(shape_of(1, 6, 7, 67, 67, 3, 3, 1, 1, 1, 67));
  list.push_back(shape_of(1, 6, 7, 96, 192, 3, 3, 2, 1, 1, 96));
  ConvShape uneven = shape_of(1, 9, 7, 6, 9, 3, 2, 1, 0);  // padding and strides differ by side and axis
  uneven.stride_w = 2, uneven.pad_top = 2, uneven.pad_left = 1, uneven.oh = 10, uneven.ow = 5;
  list.push_back(uneven);
  uneven.kw = 1, uneven.pad_left = 0, uneven.ow = 4, uneven.dilation_h = 3, uneven.oh = 5;
  list.push_back(uneven);
  return list;
}

TEST_P(S8ConvTest, EveryShapeEqualsReference) {
  uint64_t seed = 1;
  for (const ConvShape& shape : shapes())
    for (const auto& [type, zero] : {std::pair{DType::u8, 0}, {DType::u8, 131}, {DType::s8, -5}}) {
      ConvSpec spec =
          spec_of(shape, type, seed % 2 == 0 ? DType::u8 : DType::s8, DType::undefined, seed % 3 != 0);
      spec.src_quant.zero_point = zero;
      spec.dst_quant.zero_point = spec.dst == DType::u8 ? 120 : -3;
      if (seed % 4 == 0) spec.weight_scale.resize(2);  // per channel
      if (seed % 5 == 0) spec.residual = spec.dst;
      spec.residual_quant.zero_point = seed % 2 == 0 ? 99 : 7;
      expect_equal(make_case(spec, Fill::random, ++seed));
      if (HasFatalFailure()) return;
    }
}

TEST_P(S8ConvTest, EveryTypeEqualsReference) {
  uint64_t seed = 100;
  for (const ConvShape& shape :
       {shape_of(1, 6, 7, 20, 45, 3, 3, 1, 1), shape_of(1, 1, 35, 64, 64, 1, 1, 1, 0)})
    for (const DType src : {DType::u8, DType::s8})
      for (const DType dst : {DType::u8, DType::s8, DType::f32, DType::bf16, DType::f16})
        for (const DType residual :
             {DType::undefined, DType::u8, DType::s8, DType::f32, DType::bf16, DType::f16})
          for (const Act act : {Act::none, Act::relu, Act::clip}) {
            ConvSpec spec = spec_of(shape, src, dst, residual, true);
            spec.activation = {act, -0.7F, 1.1F};
            spec.weight_scale.resize(2);
            spec.src_quant.zero_point = src == DType::u8 ? 77 : 12;
            spec.dst_quant.zero_point = dst == DType::u8 ? 55 : -20;
            spec.residual_quant.zero_point = residual == DType::u8 ? 128 : -9;
            expect_equal(make_case(spec, Fill::random, ++seed));
            if (HasFatalFailure()) return;
          }
}

TEST_P(S8ConvTest, ExtremesDoNotOverflowOrSaturate) {
  for (const auto& [type, zero] :
       {std::pair{DType::u8, 0}, {DType::u8, 255}, {DType::s8, -128}, {DType::s8, 127}})
    for (const Fill fill : {Fill::all_high_low, Fill::all_high_high, Fill::all_low_low})
      for (const ConvShape& shape :
           {shape_of(1, 1, 40, 4100, 33, 1, 1, 1, 0), shape_of(1, 5, 5, 66, 20, 3, 3, 1, 1)}) {
        ConvSpec spec = spec_of(shape, type, DType::f32, DType::undefined, true);
        spec.src_quant.zero_point = zero;
        expect_equal(make_case(spec, fill, 7));
        spec.dst = DType::u8;
        expect_equal(make_case(spec, fill, 8));
        if (HasFatalFailure()) return;
      }
}

/// As several convolutions beside each other, each with a scale of its own.
TEST_P(S8ConvTest, OutputsOfTheirOwnScales) {
  uint64_t seed = 50;
  for (const Act act : {Act::none, Act::relu})
    for (const DType dst : {DType::u8, DType::s8}) {
      ConvSpec spec = spec_of(shape_of(1, 5, 7, 40, 45, 1, 1, 1, 0), DType::u8, dst, DType::undefined, true);
      spec.activation.kind = act;
      spec.weight_scale.resize(2);
      spec.dst_quant.zero_point = dst == DType::u8 ? 55 : -20;
      const Case one = make_case(spec, Fill::random, ++seed);
      Case own = one;
      for (int64_t o = 0; o < 45; ++o) own.spec.dst_scales.push_back(o < 20 ? 0.03F : 0.07F);
      expect_equal(own);
      Case other = one;
      other.spec.dst_quant.scale = 0.07F;
      const Bytes codes = run_candidate(GetParam(), own, 1, false), first = run_reference(one),
                  second = run_reference(other);
      for (size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(codes[i], (i % 45 < 20 ? first : second)[i]) << i;
    }
  ConvSpec spec = spec_of(shape_of(1, 5, 7, 40, 4, 1, 1, 1, 0), DType::u8, DType::u8, DType::undefined, true);
  spec.weight_scale = {1};
  spec.dst_scales.assign(4, 1);
  EXPECT_EQ(GetParam().unsupported(spec), "");
  spec.activation = {Act::clip, 0, 6};
  EXPECT_NE(GetParam().unsupported(spec), "");
  spec.activation = {};
  spec.dst_scales.pop_back();
  EXPECT_NE(GetParam().unsupported(spec), "");
}

TEST_P(S8ConvTest, ScalesFarOutSaturate) {
  for (const float out_scale : {1e-30F, 1e-9F, 1e9F, 1e30F})
    for (const DType dst : {DType::u8, DType::s8})
      for (const DType residual : {DType::undefined, DType::u8}) {
        ConvSpec spec = spec_of(shape_of(1, 1, 20, 16, 33, 1, 1, 1, 0), DType::u8, dst, residual, false);
        spec.dst_quant.zero_point = dst == DType::u8 ? 255 : -128;
        Case c = make_case(spec, Fill::random, 3);
        c.spec.dst_quant.scale = out_scale;
        expect_equal(c);
      }
}

TEST_P(S8ConvTest, ThreadsDoNotChangeResults) {
  for (const ConvShape& shape :
       {shape_of(1, 20, 20, 64, 70, 3, 3, 1, 1), shape_of(1, 1, 130, 600, 520, 1, 1, 1, 0),
        shape_of(4, 5, 5, 24, 48, 3, 3, 1, 1, 1, 4)}) {
    ConvSpec spec = spec_of(shape, DType::u8, DType::u8, DType::u8, true);
    spec.src_quant.zero_point = 3;
    const Case c = make_case(spec, Fill::random, 11);
    for (const int threads : {1, 2, 3}) expect_equal(c, threads);
  }
}

TEST_P(S8ConvTest, OtherActivationsWithinOneStep) {
  for (const Act act : {Act::leaky_relu, Act::sigmoid, Act::tanh, Act::silu, Act::hard_swish, Act::gelu,
                        Act::mish, Act::elu}) {
    ConvSpec spec = spec_of(shape_of(1, 5, 6, 17, 37, 3, 3, 1, 1), DType::u8, DType::u8, DType::u8, true);
    spec.activation = {act, 0.1F, 0};
    spec.dst_quant.zero_point = 128;
    const Case c = make_case(spec, Fill::random, 21);
    SCOPED_TRACE(describe(c.spec));
    const Bytes expected = run_reference(c), actual = run_candidate(GetParam(), c, 1, true);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(expected[i], actual[i], 1) << "at " << i;
  }
}

TEST_P(S8ConvTest, FunctionsEqualReference) {
  uint64_t seed = 400;
  for (const ConvShape& shape :
       {shape_of(1, 15, 14, 17, 37, 3, 3, 1, 1), shape_of(1, 1, 35, 64, 64, 1, 1, 1, 0),
        shape_of(2, 28, 28, 32, 32, 3, 3, 1, 1)})
    for (const Activation& activation : {Activation{Act::leaky_relu, 0.1F}, Activation{Act::silu},
                                         Activation{Act::hard_swish}, Activation{Act::gelu}})
      for (const DType dst : {DType::u8, DType::s8})
        for (const DType residual : {DType::undefined, DType::u8, DType::s8}) {
          ConvSpec spec = spec_of(shape, DType::u8, dst, residual, true);
          spec.activation = activation;
          spec.src_quant.zero_point = 7;
          spec.dst_quant.zero_point = dst == DType::u8 ? 90 : -40;
          spec.residual_quant.zero_point = 9;
          Case c = make_case(spec, Fill::random, ++seed);
          c.spec.residual_quant.scale = 0.004F;
          give_function(c.spec);
          ASSERT_NE(c.spec.function, nullptr) << describe(c.spec);
          expect_equal(c, 1 + static_cast<int>(seed % 3));
          if (HasFatalFailure()) return;
        }
}

/// Factors so large that no conversion to int32 is safe: a way out of their own.
TEST_P(S8ConvTest, FunctionsOfSumsBeyondInt32EqualReference) {
  ConvSpec spec = spec_of(shape_of(1, 5, 6, 17, 37, 3, 3, 1, 1), DType::u8, DType::s8, DType::u8, true);
  spec.activation = {Act::sigmoid};
  Case c = make_case(spec, Fill::random, 77);
  c.spec.dst_quant = {1.0F / 256, -128};
  c.spec.src_quant.scale = 1e3F;
  give_function(c.spec);
  ASSERT_NE(c.spec.function, nullptr);
  expect_equal(c);
}

TEST_P(S8ConvTest, BatchesLargerThanOneCopy) {
  for (const ConvShape& shape :
       {shape_of(3, 90, 90, 64, 2, 2, 1, 1, 0), shape_of(5, 64, 64, 100, 2, 1, 2, 1, 0)}) {
    ConvSpec spec = spec_of(shape, DType::s8, DType::f32, DType::u8, true);
    spec.src_quant.zero_point = 3;
    expect_equal(make_case(spec, Fill::random, 31), 2);
  }
}

TEST_P(S8ConvTest, NothingToDo) {
  for (ConvShape shape : {shape_of(1, 5, 5, 8, 4, 3, 3, 1, 1), shape_of(1, 5, 5, 8, 4, 1, 1, 1, 0)}) {
    shape.n = 0;
    expect_equal(make_case(spec_of(shape, DType::u8, DType::u8, DType::undefined, false), Fill::random, 1));
  }
  ConvShape no_rows = shape_of(1, 5, 5, 8, 4, 3, 3, 1, 1);
  no_rows.oh = 0;
  expect_equal(make_case(spec_of(no_rows, DType::u8, DType::u8, DType::undefined, false), Fill::random, 1));
}

TEST_P(S8ConvTest, SaysWhyNot) {
  ConvSpec spec =
      spec_of(shape_of(1, 1, 4, 70000, 4, 1, 1, 1, 0), DType::u8, DType::u8, DType::undefined, false);
  spec.weight_scale = {1};
  EXPECT_EQ(GetParam().unsupported(spec), "70000 products per sum: wants at most 65793");
  spec.shape.c = 16;
  EXPECT_EQ(GetParam().unsupported(spec), "");
  spec.shape.c = 0;
  EXPECT_EQ(GetParam().unsupported(spec), "channels, kernel, stride and dilation have to be positive");
  spec.shape.c = 16;
  spec.src_quant.zero_point = 256;
  EXPECT_EQ(GetParam().unsupported(spec), "a zero point is outside its type's range");
  spec.src = DType::f32;
  EXPECT_EQ(GetParam().unsupported(spec), "src = f32: wants u8 or s8");
}

INSTANTIATE_TEST_SUITE_P(All, S8ConvTest,
                         testing::Values(conv_int8_amx(), conv_int8_avx512vnni(), conv_int8_avx2vnni(),
                                         conv_int8_avx2(), conv_int8_plain()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace narrow::kernels
