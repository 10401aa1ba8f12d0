// Normalisation of images over groups of channels (kernels/norm/group_norm.h).
#include "kernels/norm/group_norm.h"

#include <algorithm>
#include <cmath>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/families/norm_inputs.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::GroupNormBuffers;
using kernels::GroupNormSpec;

Fields fields() {
  Fields f = {size_field("n", 1, 0), size_field("pixels", 1, 0), size_field("c", 1), size_field("groups", 1),
              real_field("epsilon", 1e-5F)};
  add_format(f, "src", kAllTypes);
  add_format(f, "dst", kAllTypes);
  for (const char* name : {"gamma", "beta"}) f.push_back(flag_field(name));
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"src", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  if (!(c.real("epsilon") > 0)) return "epsilon: wants more than 0";
  if (c.size("c") % c.size("groups") != 0) return "groups: want to divide c";
  return too_large("src", {c.size("n"), c.size("pixels"), c.size("c")});
}

/// Inputs: src, then gamma, beta as far as there are any.
struct Operands {
  GroupNormSpec spec;
  size_t gamma = 0, beta = 0;  // places among the inputs; 0: none

  GroupNormBuffers buffers(const std::vector<const void*>& in, void* dst, void* scratch) const {
    const auto at = [&](size_t i) { return i == 0 ? nullptr : static_cast<const float*>(in[i]); };
    return {in[0], at(gamma), at(beta), dst, scratch};
  }
};

/// u = 2^-24, X = max |x|, R the pixels that are summed in FP32. The mean of a block is its pivot, any number
/// up to X, and the mean of at most R distances from it: off by at most e = (R + 2) u 2 X. The mean of d^2 is
/// off by (R + 4) u v + 2 sqrt(v) e + e^2, v its value; s and y as in norm.cpp, the mean's own rounding to
/// FP32, which the shift takes back but for its own, included.
void bound_group(const Operands& o, const Problem& p, const std::vector<float>& x, int64_t image,
                 int64_t group, Output& dst) {
  constexpr double kUnit = 0x1p-24;
  const GroupNormSpec& s = o.spec;
  const int64_t width = s.channels / s.groups;
  const auto count = static_cast<double>(s.pixels * width);
  const auto rows = static_cast<double>(std::min(s.pixels, kernels::kGroupNormRows));
  const auto each = [&](auto f) {
    for (int64_t pixel = 0; pixel < s.pixels; ++pixel)
      for (int64_t c = group * width; c < (group + 1) * width; ++c) {
        const auto i = static_cast<size_t>((image * s.pixels + pixel) * s.channels + c);
        f(i, c, static_cast<double>(x[i]));
      }
  };
  double mean = 0, largest = 0, square = 0;
  each([&](size_t, int64_t, double v) { mean += v / count, largest = std::max(largest, std::fabs(v)); });
  each([&](size_t, int64_t, double v) { square += (v - mean) * (v - mean) / count; });
  const double e = (rows + 2) * kUnit * 2 * largest;
  const double root = std::sqrt(square + s.epsilon);
  const double off = ((rows + 4) * kUnit * (square + s.epsilon) + 2 * std::sqrt(square) * e + e * e) / root;
  each([&](size_t i, int64_t c, double v) {
    const double d = std::fabs(v - mean), gamma = std::fabs(parameter(p, o.gamma, c, 1)),
                 beta = std::fabs(parameter(p, o.beta, c, 0));
    const double bound = gamma * (e / root + d * off / (root * root)) + 4 * kUnit * (gamma * d / root + beta);
    dst.bounds[0][i] = static_cast<float>(bound) + 0x1p-125F;
  });
}

void solve(const Operands& o, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  group_norm_reference(o.spec, o.buffers(pointers(p), dst.want.data(), nullptr));
  Operands wide = o;
  wide.spec.dst = {DType::f32, {}};
  dst.real.resize(static_cast<size_t>(dst.count()));
  group_norm_reference(wide.spec, wide.buffers(pointers(p), dst.real.data(), nullptr));
  dst.bounds.assign(1, std::vector<float>(dst.real.size()));
  const std::vector<float> x = reals(o.spec.src, p.inputs[0].data(), dst.count());
  for (int64_t image = 0; image < o.spec.images; ++image)
    for (int64_t group = 0; group < o.spec.groups; ++group) bound_group(o, p, x, image, group, dst);
}

Problem pose(const Case& c) {
  Operands o;
  o.spec = {c.size("n"),
            c.size("pixels"),
            c.size("c"),
            c.size("groups"),
            c.real("epsilon"),
            format_of(c, "src", 0.03F),
            format_of(c, "dst", 0.03F)};
  Random random = random_of(c);
  const GroupNormSpec& s = o.spec;
  Problem p;
  p.inputs = {make_values(random, s.src.type, s.images * s.pixels * s.channels, values_of(c), 3)};
  const auto add = [&](size_t& place, float range) {
    place = p.inputs.size();
    p.inputs.push_back(make_values(random, DType::f32, s.channels, Values::uniform, range));
  };
  if (c.flag("gamma")) add(o.gamma, 2);
  if (c.flag("beta")) add(o.beta, 1);
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.images, s.pixels, s.channels}}};
  if (bytes_of(s.src.type) == bytes_of(s.dst.type)) p.outputs[0].may_overwrite = 0;
  p.candidates = per_isa(
      "group_norm",
      {.run = [o](const Memory& m, Isa isa,
                  ThreadPool& pool) { group_norm(o.spec, o.buffers(m.in, m.out[0], m.scratch), isa, pool); },
       .scratch_bytes = [o](Isa, int) { return group_norm_scratch_bytes(o.spec); }});
  p.solve = [o](Problem& problem) { solve(o, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("group_norm"));
  const int64_t width = dice.once_in(3) ? 1 : dice.extent(150);
  const int64_t groups = dice.once_in(3) ? 1 : dice.extent(std::max<int64_t>(1, 200 / width));
  const int64_t most = std::clamp<int64_t>(budget / 60 / (width * groups), 1, 600);
  c.set("c", width * groups), c.set("groups", groups);
  c.set("pixels", dice.once_in(40) ? 0 : dice.extent(most));
  c.set("n", dice.once_in(40) ? 0 : dice.between(1, 3));
  draw_format(c, "src", kAllTypes, dice);
  draw_format(c, "dst", kAllTypes, dice);
  for (const char* name : {"gamma", "beta"}) c.set(name, dice.below(2));
  if (dice.once_in(3)) c.set_real("epsilon", dice.one_of({1e-12F, 1e-3F}));
  draw_data(c, dice);
  return c;
}

}  // namespace

Family group_norm_family() {
  return {.name = "group_norm",
          .about =
              "dst = (src - mean) / sqrt(var + epsilon) * gamma + beta over groups of channels of each image",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = [] { return list_per_isa("group_norm", "f32 bf16 f16 u8 s8 to any of them"); }};
}

}  // namespace narrow::kernel_cases
