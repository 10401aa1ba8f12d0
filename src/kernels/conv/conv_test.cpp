// Every candidate of the family against conv_reference(): integers equal, floats within a bound derived per
// element.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "kernels/conv/conv.h"

namespace narrow::kernels {
namespace {

constexpr float kEpsilon = 0x1p-24F;  // half the distance of neighbouring floats, relative

void put(DType type, AlignedBuffer& buffer, int64_t i, float x) {
  switch (type) {
    case DType::f32:
      buffer.as<float>()[i] = x;
      break;
    case DType::bf16:
      buffer.as<bf16>()[i] = bf16(x);
      break;
    case DType::f16:
      buffer.as<f16>()[i] = f16(x);
      break;
    default:
      buffer.as<int8_t>()[i] = static_cast<int8_t>(static_cast<int>(x));
  }
}

float get(DType type, const AlignedBuffer& buffer, int64_t i) {
  switch (type) {
    case DType::f32:
      return buffer.as<float>()[i];
    case DType::bf16:
      return static_cast<float>(buffer.as<bf16>()[i]);
    case DType::f16:
      return static_cast<float>(buffer.as<f16>()[i]);
    case DType::u8:
      return buffer.as<uint8_t>()[i];
    default:
      return buffer.as<int8_t>()[i];
  }
}

/// Floats in [-1, 1], integers over their whole range.
AlignedBuffer random_values(DType type, int64_t count, Random& random) {
  AlignedBuffer buffer(count * bytes_of(type));
  for (int64_t i = 0; i < count; ++i) {
    if (is_int8(type))
      buffer.as<int8_t>()[i] = static_cast<int8_t>(random.integer(-128, 127));
    else
      put(type, buffer, i, static_cast<float>(random.uniform(-1, 1)));
  }
  return buffer;
}

struct Case {
  ConvSpec spec;
  AlignedBuffer src, weights, bias, residual;

  int64_t outputs() const { return spec.shape.n * spec.shape.oh * spec.shape.ow * spec.shape.oc; }
  int64_t k() const { return spec.shape.c / spec.shape.groups * spec.shape.kh * spec.shape.kw; }
  ConvWeights constants() const { return {weights.data(), spec.bias ? bias.data() : nullptr}; }
};

Case make_case(const ConvSpec& spec, uint64_t seed) {
  const ConvShape& s = spec.shape;
  Random random(seed);
  Case c{spec, {}, {}, {}, {}};
  c.src = random_values(spec.src, s.n * s.h * s.w * s.c, random);
  c.weights = random_values(spec.weights, s.oc * c.k(), random);
  c.bias = random_values(DType::f32, s.oc, random);
  if (is_int8(spec.src))
    for (int64_t i = 0; i < s.oc; ++i)
      c.bias.as<int32_t>()[i] = static_cast<int32_t>(random.integer(-20000, 20000));
  if (spec.residual != DType::undefined) c.residual = random_values(spec.residual, c.outputs(), random);
  return c;
}

/// Per output: sum |a||b| + |bias|, the scale of its rounding errors.
std::vector<float> magnitudes(const Case& c) {
  Case a = make_case(c.spec, 0);
  const auto absolute = [](DType type, const AlignedBuffer& from, AlignedBuffer& to) {
    for (int64_t i = 0; i < from.bytes() / bytes_of(type); ++i)
      put(type, to, i, std::abs(get(type, from, i)));
  };
  absolute(a.spec.src, c.src, a.src);
  absolute(a.spec.weights, c.weights, a.weights);
  absolute(DType::f32, c.bias, a.bias);
  a.spec.dst = DType::f32, a.spec.residual = DType::undefined, a.spec.activation = {};
  std::vector<float> sums(static_cast<size_t>(c.outputs()));
  conv_reference(a.spec, a.constants(), {a.src.data(), nullptr, sums.data(), nullptr}, true);
  return sums;
}

/// |got - want| for float results. K products and sums each round by at most eps of the running magnitude, so
/// do bias and residual; no activation here grows a difference more than 1.5 times or adds more than
/// vmath.h's 1.5e-7 (of max(1, |x|)); the stored type rounds both sides by up to half its spacing. `split`:
/// of f16 numbers in two parts there are three sums in one, and low * low, up to 2^-16 of a product, is left
/// out.
float tolerance(const Case& c, float magnitude, float want, bool split) {
  const float residual = c.spec.residual == DType::undefined ? 0 : 1;
  const float sum = kEpsilon * static_cast<float>((split ? 3 * c.k() : c.k()) + 8) * (magnitude + residual);
  const float activation =
      c.spec.activation.kind == Act::none ? 0 : 3e-7F * std::max(1.0F, magnitude + residual);
  const float storage =
      c.spec.dst == DType::bf16 ? 0x1p-8F : (c.spec.dst == DType::f16 ? 0x1p-11F : kEpsilon);
  // A kernel may round an f32 source to the type of bf16 weights (conv.h): one more relative error per
  // product.
  const float source = c.spec.src == DType::f32 && c.spec.weights == DType::bf16 ? 0x1p-8F * magnitude : 0;
  const float left_out = split ? 0x1p-16F * magnitude : 0;
  return 1.5F * (sum + source + left_out) + activation + 2 * storage * std::abs(want) +
         (c.spec.dst == DType::f16 ? 0x1p-24F : 0);
}

/// Activations that use only operations every ISA rounds alike.
bool is_exact(Act kind) {
  return kind == Act::none || kind == Act::relu || kind == Act::clip || kind == Act::leaky_relu ||
         kind == Act::hard_sigmoid || kind == Act::hard_swish;
}

void compare(const Case& c, const AlignedBuffer& got, const AlignedBuffer& want, bool split) {
  const bool integer = is_int8(c.spec.src);
  const std::vector<float> magnitude = integer ? std::vector<float>{} : magnitudes(c);
  for (int64_t i = 0; i < c.outputs(); ++i) {
    const float g = get(c.spec.dst, got, i), w = get(c.spec.dst, want, i);
    float allowed = 0;
    if (!integer)
      allowed = tolerance(c, magnitude[static_cast<size_t>(i)], w, split);
    else if (!is_exact(c.spec.activation.kind) && c.spec.function == nullptr)
      allowed = is_int8(c.spec.dst) ? 1 : 0x1p-7F * std::max(1.0F, std::abs(w));
    ASSERT_LE(std::abs(g - w), allowed) << "output " << i << ": got " << g << ", want " << w;
  }
}

std::string describe(const ConvSpec& spec) {
  const ConvShape& s = spec.shape;
  std::string text =
      std::string(to_string(spec.src)) + "x" + to_string(spec.weights) + "->" + to_string(spec.dst);
  text += " residual " + std::string(to_string(spec.residual)) + " act " + to_string(spec.activation.kind);
  for (const int64_t v : {s.n, s.h, s.w, s.c, s.oh, s.ow, s.oc, s.kh, s.kw, s.stride_h, s.stride_w, s.pad_top,
                          s.pad_left, s.dilation_h, s.dilation_w, s.groups})
    text += " " + std::to_string(v);
  return text;
}

AlignedBuffer run(const ConvCandidate& candidate, const Case& c,
                  const std::shared_ptr<const PackedWeights>& packed, int threads, bool in_place) {
  const auto kernel = candidate.create(c.spec, packed, threads);
  ThreadPool pool(threads);
  const int64_t dst_bytes = c.outputs() * bytes_of(c.spec.dst);
  AlignedBuffer dst(dst_bytes + 64), scratch(kernel->scratch_bytes());
  std::memset(dst.data(), 0x5a, static_cast<size_t>(dst_bytes + 64));
  if (scratch.bytes() > 0) std::memset(scratch.data(), 0xff, static_cast<size_t>(scratch.bytes()));  // NaNs
  if (in_place) std::memcpy(dst.data(), c.residual.data(), static_cast<size_t>(dst_bytes));
  kernel->run({c.src.data(), in_place ? dst.data() : c.residual.data(), dst.data(), scratch.data()}, pool);
  for (int64_t i = 0; i < 64; ++i)
    EXPECT_EQ(dst.data()[dst_bytes + i], std::byte{0x5a}) << "wrote past the end";
  return dst;
}

/// Does nothing when the candidate does not take the case; counts those it takes.
void check(const ConvCandidate& candidate, const ConvSpec& spec, uint64_t seed, int* checked = nullptr) {
  if (!candidate.unsupported(spec).empty()) return;
  if (checked != nullptr) ++*checked;
  SCOPED_TRACE(describe(spec) + " seed " + std::to_string(seed));
  const Case c = make_case(spec, seed);
  const auto packed = candidate.pack(spec, c.constants());
  ASSERT_NE(packed, nullptr);
  const AlignedBuffer got = run(candidate, c, packed, 1, false);
  AlignedBuffer want(got.bytes());
  conv_reference(spec, c.constants(), {c.src.data(), c.residual.data(), want.data(), nullptr}, true);
  compare(c, got, want, std::string_view(candidate.name) == "conv_f16_amx");
  if (testing::Test::HasFatalFailure()) return;
  const auto bytes = static_cast<size_t>(got.bytes());
  const int threads = 2 + static_cast<int>(seed % 2);
  EXPECT_EQ(std::memcmp(run(candidate, c, packed, threads, false).data(), got.data(), bytes), 0)
      << threads << " threads";
  if (spec.residual == spec.dst) {
    EXPECT_EQ(std::memcmp(run(candidate, c, packed, 2, true).data(), got.data(), bytes), 0) << "in place";
  }
}

/// n h w c oc kh kw stride pads (top left bottom right) dilation groups
struct Window {
  int64_t n, h, w, c, oc, kh, kw, stride, top, left, bottom, right, dilation, groups;
};

constexpr Window kWindows[] = {
    {1, 1, 1, 37, 10, 1, 1, 1, 0, 0, 0, 0, 1, 1},   // one row
    {1, 1, 53, 20, 70, 1, 1, 1, 0, 0, 0, 0, 1, 1},  // product, tails in m and n
    {3, 5, 3, 64, 32, 1, 1, 1, 0, 0, 0, 0, 1, 1},
    {1, 2, 4, 1024, 33, 1, 1, 1, 0, 0, 0, 0, 1, 1},  // pixels 4096 bytes apart
    {2, 9, 7, 512, 16, 1, 1, 2, 0, 0, 0, 0, 1, 1},   // the same by stride
    {1, 6, 6, 17, 19, 1, 1, 2, 1, 1, 1, 1, 1, 1},    // padded 1x1
    {1, 14, 14, 16, 48, 3, 3, 1, 1, 1, 1, 1, 1, 1},
    {3, 7, 7, 8, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1},    // odd number of short lines
    {1, 19, 23, 3, 32, 3, 3, 2, 0, 1, 1, 0, 1, 1},  // asymmetric padding
    {1, 21, 17, 3, 34, 7, 7, 2, 3, 3, 3, 3, 1, 1},
    {1, 9, 31, 12, 24, 1, 3, 1, 0, 1, 0, 1, 1, 1},
    {2, 11, 13, 5, 34, 3, 2, 1, 2, 0, 2, 1, 2, 1},   // dilation
    {1, 2, 3, 1024, 9, 3, 3, 1, 1, 1, 1, 1, 1, 1},   // conflict padding with taps
    {1, 6, 5, 10, 14, 5, 5, 3, 4, 4, 4, 4, 1, 1},    // windows wholly in the padding's corner
    {1, 14, 14, 32, 48, 3, 3, 1, 1, 1, 1, 1, 1, 1},  // enough patches for Winograd
    {2, 9, 11, 40, 65, 3, 3, 1, 0, 1, 2, 1, 1, 1},   // odd sizes, asymmetric padding
    {1, 17, 16, 97, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1},  // too many channels to fuse the transform
    {1, 22, 24, 80, 50, 3, 3, 1, 0, 1, 2, 1, 1,
     1},  // and for that in whole numbers, two of each channel's vectors
    {3, 15, 14, 64, 33, 3, 3, 1, 2, 2, 1, 1, 1, 1},  // patches across images, borders all around
    {2, 8, 8, 24, 36, 3, 3, 1, 1, 1, 1, 1, 1, 3},    // groups
    {1, 5, 9, 12, 24, 1, 1, 1, 0, 0, 0, 0, 1, 4},
    {2, 9, 15, 48, 48, 3, 3, 1, 1, 1, 1, 1, 1, 48},  // depthwise
    {1, 15, 14, 37, 37, 3, 3, 2, 0, 0, 1, 1, 1, 37},
    {1, 13, 11, 19, 19, 5, 5, 1, 2, 2, 2, 2, 1, 19},
    {3, 12, 9, 16, 16, 5, 5, 2, 2, 2, 1, 1, 1, 16},
    {1, 12, 10, 33, 33, 3, 3, 1, 2, 2, 2, 2, 2, 33},
    {1, 2, 2, 20, 20, 3, 3, 1, 1, 1, 1, 1, 1, 20},  // every window over a border
    {1, 8, 9, 40, 40, 3, 4, 3, 1, 1, 0, 2, 1, 40},
    {2, 7, 5, 70, 70, 1, 1, 1, 0, 0, 0, 0, 1, 70}};  // a scale per channel

ConvShape shape_of(const Window& v) {
  ConvShape s{.n = v.n, .h = v.h, .w = v.w, .c = v.c, .oc = v.oc, .kh = v.kh, .kw = v.kw};
  s.stride_h = s.stride_w = v.stride, s.dilation_h = s.dilation_w = v.dilation;
  s.pad_top = v.top, s.pad_left = v.left, s.groups = v.groups;
  s.oh = (v.h + v.top + v.bottom - (v.kh - 1) * v.dilation - 1) / v.stride + 1;
  s.ow = (v.w + v.left + v.right - (v.kw - 1) * v.dilation - 1) / v.stride + 1;
  return s;
}

ConvSpec spec_of(const ConvShape& shape, DType src, DType weights, DType dst, DType residual,
                 Activation activation) {
  ConvSpec spec;
  spec.shape = shape, spec.src = src, spec.weights = weights, spec.dst = dst, spec.residual = residual;
  spec.bias = true, spec.activation = activation;
  if (is_int8(src)) {
    const int64_t depth = shape.c / shape.groups;
    const float k = static_cast<float>(depth * shape.kh * shape.kw);
    spec.src_quant = {0.02F, src != DType::u8 ? -7 : dst == DType::u8 ? 113 : 5};
    for (int64_t i = 0; i < shape.oc; ++i)
      spec.weight_scale.push_back(0.002F + 0.0001F * static_cast<float>(i % 7));
    spec.dst_quant = {0.004F * std::sqrt(k), dst == DType::u8 ? 120 : 3};
    spec.residual_quant = {0.03F, residual == DType::u8 ? 131 : -2};
  }
  return spec;
}

struct Types {
  DType src, weights, dst, residual;
};

constexpr DType kNone = DType::undefined;
constexpr Types kTypes[] = {{DType::f32, DType::f32, DType::f32, kNone},
                            {DType::f32, DType::f32, DType::f32, DType::f32},
                            {DType::bf16, DType::bf16, DType::bf16, kNone},
                            {DType::bf16, DType::bf16, DType::bf16, DType::bf16},
                            {DType::f16, DType::f16, DType::f16, DType::f16},
                            {DType::f32, DType::bf16, DType::f16, DType::bf16},
                            {DType::bf16, DType::bf16, DType::f32, DType::f32},
                            {DType::f16, DType::f32, DType::bf16, DType::f32},
                            {DType::u8, DType::s8, DType::u8, kNone},
                            {DType::u8, DType::s8, DType::u8, DType::u8},
                            {DType::s8, DType::s8, DType::s8, DType::s8},
                            {DType::u8, DType::s8, DType::f32, DType::f32},
                            {DType::s8, DType::s8, DType::u8, kNone}};

constexpr Activation kActivations[] = {{Act::none},
                                       {Act::relu},
                                       {Act::clip, -0.25F, 0.5F},
                                       {Act::leaky_relu, 0.1F},
                                       {Act::sigmoid},
                                       {Act::tanh},
                                       {Act::silu},
                                       {Act::hard_sigmoid, 0.2F, 0.5F},
                                       {Act::hard_swish},
                                       {Act::gelu},
                                       {Act::gelu_tanh},
                                       {Act::elu, 0.7F},
                                       {Act::mish}};

class ConvCandidates : public testing::TestWithParam<ConvCandidate> {
 protected:
  void SetUp() override {
    if (!runs_here(GetParam().isa)) GTEST_SKIP() << to_string(GetParam().isa) << " is not available";
  }
};

TEST_P(ConvCandidates, EqualTheReferenceOnEveryWindow) {
  uint64_t seed = 1;
  int checked = 0;
  for (const Window& window : kWindows)
    for (const Types& t : kTypes) {
      check(GetParam(), spec_of(shape_of(window), t.src, t.weights, t.dst, t.residual, {Act::relu}), ++seed,
            &checked);
      if (HasFatalFailure()) return;
    }
  EXPECT_GT(checked, 0) << "no case here is one for this candidate";
}

TEST_P(ConvCandidates, EqualTheReferenceForEveryActivation) {
  uint64_t seed = 1000;
  const ConvShape dense = shape_of({1, 5, 6, 11, 27, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  const ConvShape depthwise = shape_of({1, 5, 6, 27, 27, 3, 3, 1, 1, 1, 1, 1, 1, 27});
  const ConvShape winograd = shape_of({1, 13, 12, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  for (const ConvShape& shape : {dense, depthwise, winograd})
    for (const Activation& activation : kActivations)
      for (const Types& t : kTypes) {
        ConvSpec spec = spec_of(shape, t.src, t.weights, t.dst, t.residual, activation);
        check(GetParam(), spec, ++seed);
        if (HasFatalFailure()) return;
        give_function(spec);
        if (spec.function != nullptr) check(GetParam(), spec, ++seed);
        if (HasFatalFailure()) return;
      }
}

/// Packed weights are shared by kernels, whose specs are gone when they run.
TEST_P(ConvCandidates, KeepTheirFunction) {
  const ConvShape dense = shape_of({1, 5, 6, 11, 27, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  const ConvShape depthwise = shape_of({1, 5, 6, 27, 27, 3, 3, 1, 1, 1, 1, 1, 1, 27});
  const ConvShape winograd = shape_of({1, 13, 12, 32, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1});
  for (const ConvShape& shape : {dense, depthwise, winograd}) {
    ConvSpec spec = spec_of(shape, DType::u8, DType::s8, DType::u8, kNone, {Act::gelu});
    give_function(spec);
    ASSERT_NE(spec.function, nullptr);
    if (!GetParam().unsupported(spec).empty()) continue;
    const Case c = make_case(spec, 5000);
    const auto packed = GetParam().pack(spec, c.constants());
    const std::weak_ptr<const ByteFunction> function = spec.function =
        std::make_shared<ByteFunction>(*spec.function);
    const auto kernel = GetParam().create(spec, packed, 1);
    spec.function.reset();
    EXPECT_FALSE(function.expired());
  }
}

TEST_P(ConvCandidates, EveryTileHeightAndWidth) {
  uint64_t seed = 2000;
  for (int64_t m = 1; m <= 33; ++m)
    for (const int64_t n : {1, 16, 17, 32, 47, 65})
      for (const Types& t : {kTypes[0], kTypes[2], kTypes[8]}) {
        check(GetParam(),
              spec_of({.w = m, .c = 9, .ow = m, .oc = n}, t.src, t.weights, t.dst, t.residual, {}), ++seed);
        if (HasFatalFailure()) return;
      }
}

TEST_P(ConvCandidates, WorkWithoutBias) {
  ConvSpec spec = spec_of(shape_of(kWindows[6]), DType::f32, DType::f32, DType::f32, kNone, {});
  spec.bias = false;
  check(GetParam(), spec, 3000);
}

TEST_P(ConvCandidates, LargeEnoughForSeveralTasks) {
  for (const Types& t : {kTypes[0], kTypes[2], kTypes[8]}) {
    check(GetParam(),
          spec_of({.w = 150, .c = 64, .ow = 150, .oc = 200}, t.src, t.weights, t.dst, t.residual, {}), 4000);
    check(GetParam(),
          spec_of({.w = 20, .c = 600, .ow = 20, .oc = 200}, t.src, t.weights, t.dst, t.residual, {}), 4001);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ConvCandidates,
                         testing::ValuesIn(conv_candidates().begin(), conv_candidates().end()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace narrow::kernels
