#include "kernels/elementwise/elementwise.h"

#include <gtest/gtest.h>

#include "kernels/lanes/test_support.h"

namespace narrow::kernels {
namespace {

const std::vector<Unary>& all_unary() {
  static const std::vector<Unary> kinds = {
      Unary::exp,  Unary::log, Unary::sqrt,  Unary::reciprocal, Unary::abs,     Unary::neg,
      Unary::sign, Unary::erf, Unary::floor, Unary::ceil,       Unary::round,   Unary::sin,
      Unary::cos,  Unary::tan, Unary::atan,  Unary::softplus,   Unary::softsign};
  return kinds;
}

std::vector<UnaryFunction> all_functions() {
  std::vector<UnaryFunction> functions;
  for (const Unary kind : all_unary()) functions.push_back({kind, {}});
  for (int act = 0; act <= static_cast<int>(Act::mish); ++act)
    functions.push_back({Unary::activation,
                         {static_cast<Act>(act), act == static_cast<int>(Act::clip) ? -0.5F : 0.2F, 0.5F}});
  return functions;
}

/// What kernels/math/vmath.h allows against the C library, and two roundings to the destination.
float tolerance(const Format& dst, float x, float want) {
  return 3e-7F * std::max(1.0F, std::fabs(x)) + 8 * 0x1p-23F * std::fabs(want) +
         2 * rounding_error(dst, want);
}

TEST(Unary, FollowsTheReferenceForEveryFunctionAndFormat) {
  Random random(11);
  ThreadPool pool(2);
  for (const UnaryFunction& f : all_functions())
    for (const Format& src : all_formats())
      for (const Format& dst : all_formats()) {
        const Stored x =
            random_stored(src, 1061, random, f.kind == Unary::log || f.kind == Unary::sqrt ? 0.1 : -1.4, 3);
        UnarySpec spec{f, src, dst, x.count()};
        Stored want(dst, x.count());
        unary_reference(spec, x.data(), want.data());
        for (const Isa isa : isas_here()) {
          Stored got(dst, x.count());
          unary(spec, x.data(), got.data(), isa, pool);
          for (int64_t i = 0; i < x.count(); ++i) {
            if (std::isinf(want.real(i)) || std::isnan(want.real(i))) continue;  // 1 / 0
            ASSERT_NEAR(want.real(i), got.real(i),
                        tolerance(dst, x.real(i), want.real(i)) + (is_int8(dst.type) ? 1e-6F : 0))
                << to_string(f.kind) << ' ' << to_string(f.activation.kind) << " of " << x.real(i) << ", "
                << to_string(src.type) << " to " << to_string(dst.type) << ", " << to_string(isa);
          }
          if (is_int8(src.type)) {
            ASSERT_EQ(want.bytes, got.bytes);
          }
        }
      }
}

TEST(Unary, TableOfBytesEqualsTheReferenceAtEveryLengthAndThreadCount) {
  const UnarySpec spec{
      {Unary::activation, {Act::sigmoid, 0, 0}}, {DType::s8, {0.05F, 3}}, {DType::u8, {1 / 256.0F, 0}}, 0};
  const UnaryTable table = unary_table(spec);
  Random random(3);
  for (const int64_t n : {0, 1, 63, 64, 65, 300, 200'001}) {
    const Stored x = random_stored(spec.src, n, random, -8, 8);
    UnarySpec whole = spec;
    whole.count = n;
    Stored want(spec.dst, n);
    unary_reference(whole, x.data(), want.data());
    for (const Isa isa : isas_here())
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        Stored got(spec.dst, n);
        unary_lookup(table, x.data(), got.data(), n, isa, pool);
        ASSERT_EQ(want.bytes, got.bytes) << to_string(isa) << " n=" << n << " threads=" << threads;
      }
  }
}

struct Shapes {
  std::vector<int64_t> a, b;
};

std::vector<Shapes> broadcasts() {
  return {{{}, {}},
          {{2500}, {2500}},
          {{3, 5, 7}, {3, 5, 7}},
          {{2, 9, 11, 24}, {24}},  // bias
          {{24}, {2, 9, 11, 24}},
          {{2, 40, 37}, {2, 1, 37}},  // squeeze-excite scale
          {{2, 40, 1}, {2, 40, 37}},
          {{3, 1, 5}, {1, 4, 5}},
          {{4, 1100}, {1100}},  // a vector longer than a run
          {{2, 3, 1, 2}, {3, 5, 1}},
          {{1, 1, 3000}, {1}},
          {{0, 4}, {4}}};
}

/// Operators that every ISA computes with the same IEEE operations.
TEST(Binary, EqualsTheReferenceForEveryShapeOpAndFormat) {
  Random random(5);
  ThreadPool pool(3);
  for (const Shapes& shapes : broadcasts())
    for (int op = 0; op <= static_cast<int>(Binary::prelu); ++op)
      for (const Format& fa : all_formats())
        for (const Format& fb : all_formats()) {
          BinarySpec spec;
          spec.op = static_cast<Binary>(op);
          spec.a = fa, spec.b = fb;
          spec.dst = all_formats()[static_cast<size_t>(random.integer(0, 4))];
          spec.activation = {random.integer(0, 1) == 0 ? Act::none : Act::clip, -0.25F, 2.0F};
          ASSERT_TRUE(spec.set_shapes(shapes.a, shapes.b));
          const auto count_of = [](const std::vector<int64_t>& s) {
            int64_t n = 1;
            for (const int64_t e : s) n *= e;
            return n;
          };
          const double low = spec.op == Binary::pow ? 0.1 : -3;
          const Stored a = random_stored(fa, count_of(shapes.a), random, low),
                       b = random_stored(fb, count_of(shapes.b), random);
          Stored want(spec.dst, spec.count());
          binary_reference(spec, a.data(), b.data(), want.data());
          for (const Isa isa : isas_here()) {
            Stored got(spec.dst, spec.count());
            binary(spec, a.data(), b.data(), got.data(), isa, pool);
            ASSERT_EQ(want.bytes, got.bytes)
                << to_string(spec.op) << ' ' << to_string(fa.type) << ' ' << to_string(fb.type) << ' '
                << to_string(spec.dst.type) << ' ' << to_string(isa) << " rank " << shapes.a.size()
                << " count " << spec.count();
          }
        }
}

TEST(Binary, BytesInEverySignAndWithEveryClamp) {
  Random random(9);
  ThreadPool pool(2);
  for (const DType ta : {DType::u8, DType::s8})
    for (const DType tb : {DType::u8, DType::s8})
      for (const DType td : {DType::u8, DType::s8})
        for (const Act act : {Act::none, Act::relu, Act::clip})
          for (const Binary op : {Binary::add, Binary::mul}) {
            BinarySpec spec;
            spec.op = op, spec.activation = {act, -0.5F, 1.5F};
            spec.a = {ta, {0.021F, ta == DType::u8 ? 128 : -3}};
            spec.b = {tb, {0.017F, tb == DType::u8 ? 77 : 5}};
            spec.dst = {td, {0.029F, td == DType::u8 ? 100 : -20}};
            const std::vector<int64_t> shape = {5, 7, 31};
            ASSERT_TRUE(spec.set_shapes(shape, shape));
            const Stored a = random_stored(spec.a, spec.count(), random),
                         b = random_stored(spec.b, spec.count(), random);
            Stored want(spec.dst, spec.count());
            binary_reference(spec, a.data(), b.data(), want.data());
            for (const Isa isa : isas_here()) {
              Stored got(spec.dst, spec.count());
              binary(spec, a.data(), b.data(), got.data(), isa, pool);
              ASSERT_EQ(want.bytes, got.bytes) << to_string(isa);
            }
          }
}

TEST(Binary, GatesOfBytesInEverySignAndWithEveryClamp) {
  Random random(19);
  ThreadPool pool(2);
  for (const DType tx : {DType::u8, DType::s8})
    for (const DType td : {DType::u8, DType::s8})
      for (const Format& gate : all_formats())
        for (const Act act : {Act::none, Act::relu, Act::clip})
          for (const float scale : {0.029F, 1e-30F, 1e-3F})
            for (const int64_t channels : {5, 64, 131, 2500})
              for (const bool gate_first : {false, true}) {
                BinarySpec spec;
                spec.op = Binary::mul, spec.activation = {act, -0.5F, 1.5F};
                const Format x = {tx, {0.021F, tx == DType::u8 ? 128 : -3}};
                spec.a = gate_first ? gate : x, spec.b = gate_first ? x : gate;
                spec.dst = {td, {scale, td == DType::u8 ? 100 : -20}};
                const std::vector<int64_t> image = {2, 3, channels}, factors = {2, 1, channels};
                ASSERT_TRUE(spec.set_shapes(gate_first ? factors : image, gate_first ? image : factors));
                const int64_t counts[] = {gate_first ? 2 * channels : 6 * channels,
                                          gate_first ? 6 * channels : 2 * channels};
                const Stored a = random_stored(spec.a, counts[0], random),
                             b = random_stored(spec.b, counts[1], random);
                Stored want(spec.dst, spec.count());
                binary_reference(spec, a.data(), b.data(), want.data());
                for (const Isa isa : isas_here()) {
                  Stored got(spec.dst, spec.count());
                  binary(spec, a.data(), b.data(), got.data(), isa, pool);
                  ASSERT_EQ(want.bytes, got.bytes) << to_string(isa) << ' ' << channels;
                }
              }
}

TEST(Binary, SameBitsForEveryThreadCountAndInPlace) {
  Random random(2);
  BinarySpec spec;
  spec.activation = {Act::gelu, 0, 0};
  const std::vector<int64_t> a_shape = {3, 50, 200}, b_shape = {3, 1, 200};
  ASSERT_TRUE(spec.set_shapes(a_shape, b_shape));
  const Stored a = random_stored(spec.a, spec.count(), random), b = random_stored(spec.b, 600, random);
  for (const Isa isa : isas_here()) {
    Stored first(spec.dst, spec.count());
    ThreadPool one(1);
    binary(spec, a.data(), b.data(), first.data(), isa, one);
    for (const int threads : {2, 3}) {
      ThreadPool pool(threads);
      Stored in_place = a;
      binary(spec, in_place.data(), b.data(), in_place.data(), isa, pool);
      EXPECT_EQ(first.bytes, in_place.bytes) << to_string(isa) << " threads=" << threads;
    }
  }
}

TEST(Binary, RefusesShapesThatDoNotBroadcast) {
  BinarySpec spec;
  const std::vector<int64_t> three = {3}, four = {4}, deep(9, 1);
  EXPECT_FALSE(spec.set_shapes(three, four));
  EXPECT_FALSE(spec.set_shapes(deep, three));
}

}  // namespace
}  // namespace narrow::kernels
