// Functions of one value (kernels/elementwise). 8-bit sources go through a table (unary_lookup): equal bit
// for bit. Others differ from the C library by what kernels/math/vmath.h states.
#include <algorithm>
#include <array>
#include <cmath>

#include "kernel_cases/bounds.h"
#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"
#include "kernels/elementwise/elementwise.h"

namespace narrow::kernel_cases {
namespace {

using kernels::Unary;
using kernels::UnarySpec;

Fields fields() {
  std::vector<std::string> functions;
  for (int kind = 0; kind <= static_cast<int>(Unary::softsign); ++kind)
    functions.emplace_back(to_string(static_cast<Unary>(kind)));
  Fields f = {choice_field("function", functions)};
  add_activation(f);
  add_format(f, "src", kAllTypes);
  add_format(f, "dst", kAllTypes);
  f.push_back(size_field("count", 1, 0, int64_t{1} << 31));
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"src", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  return invalid_activation(c);
}

UnarySpec spec_of(const Case& c) {
  return {{static_cast<Unary>(c.choice("function")), activation_of(c)},
          format_of(c, "src", 0.03F),
          format_of(c, "dst", 0.03F),
          c.size("count")};
}

/// Errors of 3e-7 max(1, |x|) and 8 eps of the result; tan is a quotient of two that are off by that.
float bound(const kernels::UnaryFunction& f, float x, float y) {
  if (f.kind == Unary::activation) return activation_error(f.activation, x, y);
  const float absolute = 3e-7F * std::max(1.0F, std::fabs(x));
  return (f.kind == Unary::tan ? absolute * (1 + y * y) : absolute) + 8 * kEpsilon * std::fabs(y);
}

void solve(const UnarySpec& s, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  unary_reference(s, p.inputs[0].data(), dst.want.data());
  if (is_int8(s.src.type)) return;
  const std::vector<float> x = reals(s.src, p.inputs[0].data(), s.count);
  dst.real.resize(x.size());
  dst.bounds.assign(1, std::vector<float>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    dst.real[i] = apply(s.function, x[i]);
    dst.bounds[0][i] = bound(s.function, x[i], dst.real[i]);
  }
}

Problem pose(const Case& c) {
  const UnarySpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, s.src.type, s.count, values_of(c), 3)};
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.count}}};
  if (bytes_of(s.src.type) == bytes_of(s.dst.type)) p.outputs[0].may_overwrite = 0;
  p.candidates = per_isa("unary", {.run = [s](const Memory& m, Isa isa, ThreadPool& pool) {
                           unary(s, m.in[0], m.out[0], isa, pool);
                         }});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("unary"));
  if (dice.once_in(2)) c.set("function", dice.below(static_cast<int64_t>(Unary::softsign) + 1));
  draw_activation(c, dice);
  draw_format(c, "src", kAllTypes, dice);
  draw_format(c, "dst", kAllTypes, dice);
  c.set("count", dice.once_in(40) ? 0 : dice.once_in(4) ? dice.extent(budget / 20) : dice.extent(500));
  draw_data(c, dice);
  return c;
}

std::vector<Listed> list() {
  return list_per_isa("unary", "f32 bf16 f16 u8 s8 to any of them; 8 bits by table");
}

}  // namespace

Family unary_family() {
  return {.name = "unary",
          .about = "dst = f(src), element by element",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = list};
}

}  // namespace narrow::kernel_cases
