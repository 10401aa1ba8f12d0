// Softmax over rows (kernels/softmax).
#include "kernels/softmax/softmax.h"

#include <algorithm>
#include <cmath>

#include "kernel_cases/bounds.h"
#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::SoftmaxSpec;

Fields fields() {
  Fields f = {flag_field("log"), size_field("rows", 1, 0), size_field("columns", 1)};
  add_format(f, "src", kAllTypes);
  add_format(f, "dst", kAllTypes);
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"src", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  return too_large("src", {c.size("rows"), c.size("columns")});
}

SoftmaxSpec spec_of(const Case& c) {
  return {c.flag("log"), c.size("rows"), c.size("columns"), format_of(c, "src", 0.03F),
          format_of(c, "dst", c.flag("log") ? 0.05F : 1 / 256.0F)};
}

/// u = 2^-24. x - max is off by u times the row's range, which e takes relatively; exp adds 4 u, the sum n u,
/// the quotient 2 u. What is below exp(-87) counts as 0. The logarithm takes the sum's relative error
/// absolutely.
float bound(const SoftmaxSpec& s, float range, float y) {
  constexpr float kUnit = kEpsilon / 2;
  const float relative = (2 * range + static_cast<float>(s.columns) + 8) * kUnit;
  return s.log ? relative + 2 * kUnit * (range + std::fabs(y)) : relative * y + 0x1p-124F;
}

void solve(const SoftmaxSpec& s, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  softmax_reference(s, p.inputs[0].data(), dst.want.data());
  SoftmaxSpec wide = s;
  wide.dst = {DType::f32, {}};
  dst.real.resize(static_cast<size_t>(dst.count()));
  softmax_reference(wide, p.inputs[0].data(), dst.real.data());
  const std::vector<float> x = reals(s.src, p.inputs[0].data(), dst.count());
  dst.bounds.assign(1, std::vector<float>(x.size()));
  for (int64_t row = 0; row < s.rows; ++row) {
    const auto first = x.begin() + row * s.columns;
    const auto [low, high] = std::minmax_element(first, first + s.columns);
    for (int64_t i = row * s.columns; i < (row + 1) * s.columns; ++i)
      dst.bounds[0][static_cast<size_t>(i)] = bound(s, *high - *low, dst.real[static_cast<size_t>(i)]);
  }
}

Problem pose(const Case& c) {
  const SoftmaxSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, s.src.type, s.rows * s.columns, values_of(c), 3)};
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.rows, s.columns}}};
  if (bytes_of(s.src.type) == bytes_of(s.dst.type)) p.outputs[0].may_overwrite = 0;
  p.candidates = per_isa(
      "softmax", {.run = [s](const Memory& m, Isa isa,
                             ThreadPool& pool) { softmax(s, m.in[0], m.out[0], m.scratch, isa, pool); },
                  .scratch_bytes = [s](Isa, int threads) { return softmax_scratch_bytes(s, threads); }});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("softmax"));
  c.set("log", dice.below(2));
  const int64_t columns = dice.once_in(6) ? dice.extent(1200) : dice.extent(150);
  c.set("columns", columns),
      c.set("rows",
            dice.once_in(40) ? 0 : dice.between(1, std::clamp<int64_t>(budget / 30 / columns, 1, 40)));
  draw_format(c, "src", kAllTypes, dice);
  draw_format(c, "dst", kAllTypes, dice);
  draw_data(c, dice);
  return c;
}

}  // namespace

Family softmax_family() {
  return {.name = "softmax",
          .about = "dst = exp(src - max) / sum, or its logarithm, over each row",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = [] { return list_per_isa("softmax", "f32 bf16 f16 u8 s8 to any of them"); }};
}

}  // namespace narrow::kernel_cases
