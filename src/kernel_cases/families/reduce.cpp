// Sums, means, norms and extremes over a run of axes (kernels/reduce).
#include "kernels/reduce/reduce.h"

#include <algorithm>
#include <cmath>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::ReduceSpec;
using kernels::Reduction;

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const Reduction kind : kernels::kAllReductions) names.emplace_back(kernels::to_string(kind));
  return names;
}

Fields fields() {
  Fields f = {choice_field("kind", kinds()), size_field("outer", 1, 0), size_field("reduced", 1),
              size_field("inner", 1, 0)};
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  return too_large("src", {c.size("outer"), c.size("reduced"), c.size("inner")});
}

ReduceSpec spec_of(const Case& c) {
  return {kernels::kAllReductions[c.choice("kind")], c.size("outer"), c.size("reduced"), c.size("inner")};
}

/// v = 2^-53. A sum in double of n terms that are M in all is off by at most n v M, here and in the
/// reference; a mean by that over n, a root of S by that over sqrt(S). Both are rounded to f32. Extremes are
/// exact.
double bound_of(const ReduceSpec& s, double terms, double y) {
  if (s.kind == Reduction::max || s.kind == Reduction::min) return 0;
  double off = 2 * static_cast<double>(s.reduced) * 0x1p-53 * terms;
  if (s.kind == Reduction::mean) off /= static_cast<double>(s.reduced);
  if (s.kind == Reduction::l2) off /= std::max(2 * y, 0x1p-149);
  return off + 0x1p-23 * std::fabs(y) + 0x1p-149;
}

void solve(const ReduceSpec& s, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  const auto* x = reinterpret_cast<const float*>(p.inputs[0].data());
  reduce_reference(s, x, reinterpret_cast<float*>(dst.want.data()));
  dst.real = reals(dst.format, dst.want.data(), dst.count());
  dst.bounds.assign(1, dst.real);
  const bool squares = s.kind == Reduction::l2 || s.kind == Reduction::sum_square;
  for (int64_t i = 0; i < dst.count(); ++i) {
    double terms = 0;
    for (int64_t r = 0; r < s.reduced; ++r) {
      const double term = x[(i / s.inner * s.reduced + r) * s.inner + i % s.inner];
      terms += squares ? term * term : std::fabs(term);
    }
    float& bound = dst.bounds[0][static_cast<size_t>(i)];
    bound = static_cast<float>(bound_of(s, terms, double{bound}));
  }
}

Problem pose(const Case& c) {
  const ReduceSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, DType::f32, s.outer * s.reduced * s.inner, values_of(c), 3)};
  p.outputs = {{.name = "dst", .format = {DType::f32, {}}, .extents = {s.outer, s.inner}}};
  p.candidates = per_isa("reduce", {.run =
                                        [s](const Memory& m, Isa isa, ThreadPool& pool) {
                                          reduce(s, static_cast<const float*>(m.in[0]),
                                                 static_cast<float*>(m.out[0]), m.scratch, isa, pool);
                                        },
                                    .scratch_bytes = [s](Isa, int) { return reduce_scratch_bytes(s); }});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("reduce"));
  c.set("kind", dice.between(0, static_cast<int64_t>(std::size(kernels::kAllReductions)) - 1));
  const int64_t inner = dice.once_in(3) ? 1 : dice.extent(300);
  const int64_t reduced = dice.extent(dice.once_in(6) ? 40000 : 300);
  c.set("inner", dice.once_in(40) ? 0 : inner);
  c.set("reduced", reduced);
  c.set("outer", dice.between(1, std::clamp<int64_t>(budget / std::max<int64_t>(1, inner * reduced), 1, 80)));
  draw_data(c, dice);
  return c;
}

}  // namespace

Family reduce_family() {
  return {.name = "reduce",
          .about = "dst = sum, mean, norm, largest or smallest of src over its middle axis",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = [] { return list_per_isa("reduce", "f32"); }};
}

}  // namespace narrow::kernel_cases
