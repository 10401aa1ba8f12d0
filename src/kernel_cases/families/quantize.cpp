// QuantizeLinear, DequantizeLinear and conversions (kernels/quantize): equal on every instruction set.
#include "kernels/quantize/quantize.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::QuantizeSpec;

const std::vector<std::string> kBytes = {"u8", "s8"};
const std::vector<std::string> kConvertible = {"f32", "bf16", "f16", "f64", "s8",  "u8",  "s16",
                                               "u16", "s32",  "u32", "s64", "u64", "bool"};

/// [outer, channels, inner] with a scale and a zero point for each channel.
Fields linear_fields(const std::vector<std::string>& src, const std::vector<std::string>& dst) {
  Fields f = {choice_field("src", src), choice_field("dst", dst)};
  f.push_back(size_field("outer", 1, 0));
  f.push_back(size_field("channels", 1));
  f.push_back(size_field("inner", 1, 0));
  f.push_back(real_field("scale", 0));  // of every channel; 0: one for each, from the seed
  f.push_back(flag_field("zero_points"));
  add_data(f);
  return f;
}

std::string invalid_linear(const Case& c) {
  if (c.real("scale") < 0) return "scale: wants more than 0";
  return too_large("src", {c.size("outer"), c.size("channels"), c.size("inner")});
}

/// Scales and zero points, which the spec points to.
struct Linear {
  QuantizeSpec spec;
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
};

std::shared_ptr<const Linear> linear_of(const Case& c, DType stored) {
  auto l = std::make_shared<Linear>();
  Random random(static_cast<uint64_t>(c.size("seed")) + 77);
  const bool extreme = values_of(c) != Values::uniform, wide = stored == DType::s32;
  const int64_t low = wide ? INT32_MIN : lowest(stored), high = wide ? INT32_MAX : highest(stored);
  for (int64_t i = 0; i < c.size("channels"); ++i) {
    const auto drawn = static_cast<float>(random.uniform(0.003, 0.05));
    l->scale.push_back(c.real("scale") != 0 ? c.real("scale") : drawn);
    const int64_t zero = random.integer(low, high);
    l->zero_point.push_back(static_cast<int32_t>(!extreme ? zero : zero % 2 == 0 ? low : high));
  }
  l->spec = {c.type("src"),   c.type("dst"),   c.size("outer"), c.size("channels"),
             c.size("inner"), l->scale.data(), nullptr};
  if (c.flag("zero_points")) l->spec.zero_point = l->zero_point.data();
  return l;
}

Problem problem_of(const QuantizeSpec& s, Bytes src) {
  Problem p;
  p.inputs.push_back(std::move(src));
  p.outputs = {{.name = "dst", .format = {s.dst, {}}, .extents = {s.outer, s.channels, s.inner}}};
  p.bytes = bytes_of_operands(p);
  return p;
}

/// Floats up to 6, and with extreme values NaN, both infinities and numbers far outside among them.
Bytes floats_to_quantize(const Case& c, int64_t count) {
  Random random = random_of(c);
  const Bytes reals_f32 = make_values(random, DType::f32, count, values_of(c), 6);
  std::vector<float> x(static_cast<size_t>(count));
  if (count > 0) std::memcpy(x.data(), reals_f32.data(), reals_f32.size());
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float odd[] = {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf, 3e38F, -3e38F, 1e-40F};
  for (size_t i = 2; i < x.size() && values_of(c) == Values::extreme; i += 11) x[i] = odd[i % 6];
  Bytes stored(static_cast<size_t>(count * bytes_of(c.type("src"))));
  kernels::convert_reference(DType::f32, c.type("src"), x.data(), stored.data(), count);
  return stored;
}

Problem pose_quantize(const Case& c) {
  const auto l = linear_of(c, c.type("dst"));
  Problem p = problem_of(l->spec, floats_to_quantize(c, l->spec.count()));
  p.candidates = per_isa("quantize", {.run = [l](const Memory& m, Isa isa, ThreadPool& pool) {
                           quantize_linear(l->spec, m.in[0], m.out[0], isa, pool);
                         }});
  p.solve = solve_exactly([l](const Problem& problem, const std::vector<void*>& out) {
    quantize_linear_reference(l->spec, problem.inputs[0].data(), out[0]);
  });
  return p;
}

Problem pose_dequantize(const Case& c) {
  const auto l = linear_of(c, c.type("src"));
  Random random = random_of(c);
  Problem p = problem_of(l->spec, make_values(random, l->spec.src, l->spec.count(), values_of(c)));
  p.candidates = per_isa("dequantize", {.run = [l](const Memory& m, Isa isa, ThreadPool& pool) {
                           dequantize_linear(l->spec, m.in[0], m.out[0], isa, pool);
                         }});
  p.solve = solve_exactly([l](const Problem& problem, const std::vector<void*>& out) {
    dequantize_linear_reference(l->spec, problem.inputs[0].data(), out[0]);
  });
  return p;
}

Problem pose_convert(const Case& c) {
  const DType src = c.type("src"), dst = c.type("dst");
  const int64_t count = c.size("count");
  Random random = random_of(c);
  Bytes x = make_values(random, DType::f32, count, values_of(c), 200),
        stored(static_cast<size_t>(count * bytes_of(src)));
  kernels::convert_reference(DType::f32, src, x.data(), stored.data(), count);
  Problem p;
  p.inputs.push_back(std::move(stored));
  p.outputs = {{.name = "dst", .format = {dst, {}}, .extents = {count}}};
  if (bytes_of(src) == bytes_of(dst)) p.outputs[0].may_overwrite = 0;
  p.candidates = per_isa("convert", {.run = [=](const Memory& m, Isa isa, ThreadPool& pool) {
                           kernels::convert(src, dst, m.in[0], m.out[0], count, isa, pool);
                         }});
  p.solve = solve_exactly([=](const Problem& problem, const std::vector<void*>& out) {
    kernels::convert_reference(src, dst, problem.inputs[0].data(), out[0], count);
  });
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw_linear(Dice& dice, int64_t budget, const char* family) {
  Case c = standard_case(*find_family(family));
  const auto types = [](const std::string& name) {
    return name == "quantize" ? std::pair{3, 2} : std::pair{3, 3};
  };
  c.set("src", dice.below(types(family).first)), c.set("dst", dice.below(types(family).second));
  const int64_t most = budget / 20;
  const int64_t outer = dice.extent(20), channels = dice.once_in(3) ? 1 : dice.extent(150);
  c.set("outer", dice.once_in(40) ? 0 : outer), c.set("channels", channels);
  c.set("inner", dice.once_in(40)  ? 0
                 : dice.once_in(2) ? 1
                                   : dice.extent(std::max<int64_t>(1, most / (outer * channels))));
  if (dice.once_in(6)) c.set_real("scale", dice.one_of({1e-30F, 1e30F, 0x1p-140F, 1.0F / 255, 3e-39F}));
  c.set("zero_points", dice.below(2));
  draw_data(c, dice);
  return c;
}

Case draw_convert(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("convert"));
  const auto types = static_cast<int64_t>(kConvertible.size());
  c.set("src", dice.below(types)), c.set("dst", dice.below(types));
  c.set("count", dice.once_in(40) ? 0 : dice.once_in(4) ? dice.extent(budget / 20) : dice.extent(300));
  draw_data(c, dice);
  return c;
}

}  // namespace

Family quantize_family() {
  return {.name = "quantize",
          .about = "dst = saturate(round_half_even(src / scale) + zero_point), a scale for each channel",
          .fields = linear_fields(kFloatTypes, kBytes),
          .invalid = invalid_linear,
          .draw = [](Dice& dice, int64_t budget) { return draw_linear(dice, budget, "quantize"); },
          .pose = pose_quantize,
          .candidates = [] { return list_per_isa("quantize", "f32 bf16 f16 to u8 s8"); }};
}

Family dequantize_family() {
  return {.name = "dequantize",
          .about = "dst = (src - zero_point) * scale, a scale for each channel",
          .fields = linear_fields({"u8", "s8", "s32"}, kFloatTypes),
          .invalid = invalid_linear,
          .draw = [](Dice& dice, int64_t budget) { return draw_linear(dice, budget, "dequantize"); },
          .pose = pose_dequantize,
          .candidates = [] { return list_per_isa("dequantize", "u8 s8 s32 to f32 bf16 f16"); }};
}

Family convert_family() {
  Fields f = {choice_field("src", kConvertible), choice_field("dst", kConvertible),
              size_field("count", 1, 0, int64_t{1} << 31)};
  add_data(f);
  return {.name = "convert",
          .about = "dst = src in another type",
          .fields = f,
          .invalid = [](const Case&) { return std::string(); },
          .draw = draw_convert,
          .pose = pose_convert,
          .candidates = [] { return list_per_isa("convert", "13 types to any of them"); }};
}

}  // namespace narrow::kernel_cases
