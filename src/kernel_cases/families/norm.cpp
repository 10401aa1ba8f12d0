// Layer and RMS normalisation over rows (kernels/norm).
#include "kernels/norm/norm.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/families/norm_inputs.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::NormBuffers;
using kernels::NormSpec;

const std::vector<std::string> kNoneOrFloat = {"none", "f32", "bf16", "f16"};

Fields fields() {
  Fields f = {flag_field("rms"), size_field("rows", 1, 0), size_field("columns", 1),
              real_field("epsilon", 1e-5F)};
  add_format(f, "src", kAllTypes);
  add_format(f, "dst", kAllTypes);
  f.push_back(choice_field("residual", kNoneOrFloat));
  f.push_back(choice_field("sum", kNoneOrFloat));
  for (const char* name : {"gamma", "beta"}) f.push_back(flag_field(name));
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"src", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  if (!(c.real("epsilon") > 0)) return "epsilon: wants more than 0";
  return too_large("src", {c.size("rows"), c.size("columns")});
}

/// Inputs: src, then residual, gamma, beta as far as there are any.
struct Operands {
  NormSpec spec;
  size_t residual = 0, gamma = 0, beta = 0;  // places among the inputs; 0: none

  NormBuffers buffers(const std::vector<const void*>& in, const std::vector<void*>& out,
                      void* scratch) const {
    const auto at = [&](size_t i) { return i == 0 ? nullptr : in[i]; };
    return {in[0],
            at(residual),
            static_cast<const float*>(at(gamma)),
            static_cast<const float*>(at(beta)),
            out[0],
            out.size() > 1 ? out[1] : nullptr,
            scratch};
  }
};

/// u = 2^-24, n columns, X = max |x|. The mean is off by at most (n + 1) u X, so a distance d from it by
/// e = (n + 2) u X (rms: d = x, e = u X); the mean of d^2 by (n + 4) u v + 2 sqrt(v) e + e^2, v its value;
/// s = sqrt(v + epsilon) by that over 2 s, and y = d / s * gamma + beta by
///   |gamma| (e / s + |d| ds / s^2) + 4 u (|y - beta| + |beta|).
void bound_row(const Operands& o, const Problem& p, const std::vector<float>& x, int64_t row, Output& dst) {
  constexpr double kUnit = 0x1p-24;
  const auto n = static_cast<double>(o.spec.columns);
  const auto* at = x.data() + row * o.spec.columns;
  double mean = 0, largest = 0, square = 0;
  for (int64_t i = 0; i < o.spec.columns; ++i)
    mean += at[i] / n, largest = std::max(largest, std::fabs(double{at[i]}));
  if (o.spec.rms) mean = 0;
  for (int64_t i = 0; i < o.spec.columns; ++i) square += (at[i] - mean) * (at[i] - mean) / n;
  const double e = (o.spec.rms ? 1 : n + 2) * kUnit * largest;
  const double s = std::sqrt(square + o.spec.epsilon);
  const double ds = ((n + 4) * kUnit * (square + o.spec.epsilon) + 2 * std::sqrt(square) * e + e * e) / s;
  for (int64_t i = 0; i < o.spec.columns; ++i) {
    const double d = at[i] - mean, gamma = std::fabs(parameter(p, o.gamma, i, 1)),
                 beta = parameter(p, o.beta, i, 0);
    const double bound = gamma * (e / s + std::fabs(d) * ds / (s * s)) +
                         4 * kUnit * (gamma * std::fabs(d) / s + std::fabs(beta));
    dst.bounds[0][static_cast<size_t>(row * o.spec.columns + i)] = static_cast<float>(bound) + 0x1p-125F;
  }
}

/// x = src + residual in FP32, as everybody adds.
std::vector<float> sums(const Operands& o, const Problem& p, int64_t count) {
  std::vector<float> x = reals(o.spec.src, p.inputs[0].data(), count);
  if (o.residual == 0) return x;
  const std::vector<float> r = reals({o.spec.residual, {}}, p.inputs[o.residual].data(), count);
  for (size_t i = 0; i < x.size(); ++i) x[i] += r[i];
  return x;
}

void solve(const Operands& o, Problem& p) {
  for (Output& output : p.outputs) output.want.resize(static_cast<size_t>(output.bytes()));
  std::vector<void*> out;
  for (Output& output : p.outputs) out.push_back(output.want.data());
  norm_reference(o.spec, o.buffers(pointers(p), out, nullptr));
  Output& dst = p.outputs[0];
  Operands wide = o;
  wide.spec.dst = {DType::f32, {}};
  dst.real.resize(static_cast<size_t>(dst.count()));
  std::vector<void*> real = out;
  real[0] = dst.real.data();
  norm_reference(wide.spec, wide.buffers(pointers(p), real, nullptr));
  dst.bounds.assign(1, std::vector<float>(dst.real.size()));
  const std::vector<float> x = sums(o, p, dst.count());
  for (int64_t row = 0; row < o.spec.rows; ++row) bound_row(o, p, x, row, dst);
}

Problem pose(const Case& c) {
  Operands o;
  o.spec = {c.flag("rms"),
            c.size("rows"),
            c.size("columns"),
            c.real("epsilon"),
            format_of(c, "src", 0.03F),
            format_of(c, "dst", 0.03F),
            c.type("residual"),
            c.type("sum")};
  Random random = random_of(c);
  const int64_t count = o.spec.rows * o.spec.columns;
  Problem p;
  p.inputs = {make_values(random, o.spec.src.type, count, values_of(c), 3)};
  const auto add = [&](size_t& place, DType type, int64_t n, float range) {
    place = p.inputs.size();
    p.inputs.push_back(make_values(random, type, n, Values::uniform, range));
  };
  if (o.spec.residual != DType::undefined) add(o.residual, o.spec.residual, count, 3);
  if (c.flag("gamma")) add(o.gamma, DType::f32, o.spec.columns, 2);
  if (c.flag("beta")) add(o.beta, DType::f32, o.spec.columns, 1);
  p.outputs = {{.name = "dst", .format = o.spec.dst, .extents = {o.spec.rows, o.spec.columns}}};
  if (bytes_of(o.spec.src.type) == bytes_of(o.spec.dst.type)) p.outputs[0].may_overwrite = 0;
  if (o.spec.sum != DType::undefined)
    p.outputs.push_back(
        {.name = "sum", .format = {o.spec.sum, {}}, .extents = {o.spec.rows, o.spec.columns}});
  p.candidates = per_isa(
      "norm", {.run = [o](const Memory& m, Isa isa,
                          ThreadPool& pool) { norm(o.spec, o.buffers(m.in, m.out, m.scratch), isa, pool); },
               .scratch_bytes = [o](Isa, int threads) { return norm_scratch_bytes(o.spec, threads); }});
  p.solve = [o](Problem& problem) { solve(o, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("norm"));
  c.set("rms", dice.below(2));
  const int64_t columns = dice.once_in(6) ? dice.extent(1200) : dice.extent(150);
  c.set("columns", columns),
      c.set("rows",
            dice.once_in(40) ? 0 : dice.between(1, std::clamp<int64_t>(budget / 30 / columns, 1, 40)));
  draw_format(c, "src", kAllTypes, dice);
  draw_format(c, "dst", kAllTypes, dice);
  for (const char* name : {"residual", "sum"}) c.set(name, dice.once_in(2) ? 0 : dice.below(4));
  for (const char* name : {"gamma", "beta"}) c.set(name, dice.below(2));
  if (dice.once_in(3)) c.set_real("epsilon", dice.one_of({1e-12F, 1e-3F}));
  draw_data(c, dice);
  return c;
}

}  // namespace

Family norm_family() {
  return {
      .name = "norm",
      .about = "dst = (x - mean) / sqrt(var + epsilon) * gamma + beta over each row of x = src + residual",
      .fields = fields(),
      .invalid = invalid,
      .draw = draw,
      .pose = pose,
      .candidates = [] { return list_per_isa("norm", "f32 bf16 f16 u8 s8 to any of them"); }};
}

}  // namespace narrow::kernel_cases
