// Functions of two values with broadcasting (kernels/elementwise). Every instruction set computes them with
// the same operations: equal bit for bit, unless a curved activation follows.
#include <algorithm>
#include <array>

#include "kernel_cases/bounds.h"
#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"
#include "kernels/elementwise/elementwise.h"

namespace narrow::kernel_cases {
namespace {

using kernels::Binary;
using kernels::BinarySpec;

constexpr std::array kExtents = {"d0", "d1", "d2", "d3"};

Fields fields() {
  std::vector<std::string> ops;
  for (int op = 0; op <= static_cast<int>(Binary::prelu); ++op)
    ops.emplace_back(to_string(static_cast<Binary>(op)));
  Fields f = {choice_field("op", ops)};
  for (const char* name : {"a", "b", "dst"}) add_format(f, name, kAllTypes);
  for (const char* name : kExtents) f.push_back(size_field(name, 1, 0));
  // Bit i: the operand has extent 1 along di.
  for (const char* name : {"a_broadcast", "b_broadcast"}) f.push_back(size_field(name, 0, 0, 15));
  add_activation(f);
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"a", "b", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  if (std::string wrong = too_large("dst", {c.size("d0"), c.size("d1"), c.size("d2"), c.size("d3")});
      !wrong.empty())
    return wrong;
  return invalid_activation(c);
}

std::vector<int64_t> shape_of(const Case& c, const char* broadcast) {
  std::vector<int64_t> shape;
  for (size_t i = 0; i < kExtents.size(); ++i)
    shape.push_back((c.size(broadcast) >> i & 1) != 0 ? 1 : c.size(kExtents[i]));
  return shape;
}

int64_t count_of(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t e : shape) n *= e;
  return n;
}

BinarySpec spec_of(const Case& c) {
  BinarySpec s;
  s.op = static_cast<Binary>(c.choice("op"));
  s.a = format_of(c, "a", 0.02F), s.b = format_of(c, "b", 0.02F), s.dst = format_of(c, "dst", 0.03F);
  s.activation = activation_of(c);
  s.set_shapes(shape_of(c, "a_broadcast"), shape_of(c, "b_broadcast"));
  return s;
}

void solve(const BinarySpec& s, Problem& p) {
  Output& dst = p.outputs[0];
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  binary_reference(s, p.inputs[0].data(), p.inputs[1].data(), dst.want.data());
  if (is_exact(s.activation.kind)) return;
  BinarySpec before = s;
  before.activation = {}, before.dst = {DType::f32, {}};
  std::vector<float> x(static_cast<size_t>(dst.count()));
  binary_reference(before, p.inputs[0].data(), p.inputs[1].data(), x.data());
  bound_activation(dst, s.activation, x);
}

Problem pose(const Case& c) {
  const BinarySpec s = spec_of(c);
  Random random = random_of(c);
  const std::vector<int64_t> a = shape_of(c, "a_broadcast"), b = shape_of(c, "b_broadcast");
  Problem p;
  p.inputs = {make_values(random, s.a.type, count_of(a), values_of(c), 3),
              make_values(random, s.b.type, count_of(b), values_of(c), 3)};
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.extents, s.extents + s.rank}}};
  const auto same = [&](size_t i) {
    return static_cast<int64_t>(p.inputs[i].size()) == p.outputs[0].bytes();
  };
  if (same(0) && count_of(a) == s.count())
    p.outputs[0].may_overwrite = 0;
  else if (same(1) && count_of(b) == s.count())
    p.outputs[0].may_overwrite = 1;
  p.candidates = per_isa("binary", {.run = [s](const Memory& m, Isa isa, ThreadPool& pool) {
                           binary(s, m.in[0], m.in[1], m.out[0], isa, pool);
                         }});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("binary"));
  c.set("op", dice.below(static_cast<int64_t>(Binary::prelu) + 1));
  for (const char* name : {"a", "b", "dst"}) draw_format(c, name, kAllTypes, dice);
  int64_t left = budget / 20;
  for (const char* name : {"d3", "d2", "d1", "d0"}) {
    const int64_t extent = std::min(left, dice.once_in(3) ? 1 : dice.extent(name[1] == '3' ? 3000 : 40));
    c.set(name, extent);
    left = std::max<int64_t>(1, left / extent);
  }
  if (dice.once_in(40)) c.set("d0", 0);
  if (dice.once_in(2)) c.set(dice.once_in(2) ? "a_broadcast" : "b_broadcast", dice.below(16));
  if (dice.once_in(8)) c.set("a_broadcast", dice.below(16)), c.set("b_broadcast", dice.below(16));
  draw_activation(c, dice);
  draw_data(c, dice);
  return c;
}

std::vector<Listed> list() { return list_per_isa("binary", "f32 bf16 f16 u8 s8 in any mix"); }

}  // namespace

Family binary_family() {
  return {.name = "binary",
          .about = "dst = act(op(a, b)), element by element over [d0, d1, d2, d3]",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = list};
}

}  // namespace narrow::kernel_cases
