// Products of two computed matrices (kernels/matmul).
#include "kernels/matmul/matmul.h"

#include <algorithm>
#include <cmath>

#include "kernel_cases/bounds.h"
#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::MatMulSpec;

Fields fields() {
  Fields f;
  for (const char* name : {"a", "b", "c"}) f.push_back(choice_field(name, kFloatTypes));
  f.push_back(size_field("batch", 1, 0));
  for (const char* name : {"m", "n"}) f.push_back(size_field(name, 1));
  f.push_back(size_field("k", 1, 0));
  for (const char* name : {"a_turned", "b_turned", "b_shared"}) f.push_back(flag_field(name));
  f.push_back(real_field("alpha", 1));
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  const int64_t batch = c.size("batch"), m = c.size("m"), n = c.size("n"), k = c.size("k");
  for (const std::string& wrong :
       {too_large("a", {batch, m, k}), too_large("b", {batch, k, n}), too_large("c", {batch, m, n})})
    if (!wrong.empty()) return wrong;
  if (product({product({batch, m, n}), k}) > int64_t{1} << 40) return "more than 2^40 multiply-adds";
  return std::fabs(c.real("alpha")) > 1e6F ? "alpha: wants at most 1e6" : "";
}

MatMulSpec spec_of(const Case& c) {
  MatMulSpec s;
  s.a = c.type("a"), s.b = c.type("b"), s.c = c.type("c");
  s.m = c.size("m"), s.n = c.size("n"), s.k = c.size("k"), s.alpha = c.real("alpha");
  s.a_stride_m = c.flag("a_turned") ? 1 : s.k, s.a_stride_k = c.flag("a_turned") ? s.m : 1;
  s.b_stride_k = c.flag("b_turned") ? 1 : s.n, s.b_stride_n = c.flag("b_turned") ? s.k : 1;
  s.c_stride_m = s.n;
  s.batch_rank = 1, s.batch[0] = c.size("batch");
  s.a_batch_strides[0] = s.m * s.k, s.c_batch_strides[0] = s.m * s.n;
  s.b_batch_strides[0] = c.flag("b_shared") ? 0 : s.k * s.n;
  return s;
}

std::vector<float> products(MatMulSpec s, const Bytes& a, const Bytes& b) {
  s.c = DType::f32;
  std::vector<float> list(static_cast<size_t>(s.batches() * s.m * s.n));
  matmul_reference(s, a.data(), b.data(), list.data());
  return list;
}

/// k products and sums in any order are off by at most eps (k + 8) sum |alpha a b|; AMX flushes what is below
/// 2^-126.
void solve(const MatMulSpec& s, Problem& p) {
  Output& c = p.outputs[0];
  c.want.resize(static_cast<size_t>(c.bytes()));
  matmul_reference(s, p.inputs[0].data(), p.inputs[1].data(), c.want.data());
  c.real = products(s, p.inputs[0], p.inputs[1]);
  MatMulSpec sizes = s;
  sizes.alpha = std::fabs(s.alpha);
  const auto terms = static_cast<float>(s.k + 8);
  c.bounds = {products(sizes, absolute(s.a, p.inputs[0]), absolute(s.b, p.inputs[1]))};
  for (float& bound : c.bounds[0])
    bound = kEpsilon * terms * bound + terms * 0x1p-125F * std::max(1.0F, sizes.alpha);
}

Problem pose(const Case& c) {
  const MatMulSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  p.inputs = {make_values(random, s.a, s.batches() * s.m * s.k, values_of(c)),
              make_values(random, s.b, (c.flag("b_shared") ? 1 : s.batches()) * s.k * s.n, values_of(c))};
  p.outputs = {{.name = "c", .format = {s.c, {}}, .extents = {s.batches(), s.m, s.n}}};
  p.candidates =
      per_isa("matmul",
              {.run = [s](const Memory& m, Isa isa,
                          ThreadPool& pool) { matmul(s, m.in[0], m.in[1], m.out[0], m.scratch, isa, pool); },
               .scratch_bytes = [s](Isa isa, int threads) { return matmul_scratch_bytes(s, isa, threads); }});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.operations = 2 * static_cast<double>(s.macs());
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("matmul"));
  c.set("a", dice.below(3));
  c.set("b", dice.once_in(2) ? c.choice("a") : dice.below(3));
  c.set("c", dice.below(3));
  int64_t m = dice.extent(130), n = dice.extent(130), k = dice.extent(300), batch = dice.between(1, 4);
  while (m * n * k * batch > budget) {
    int64_t* largest =
        std::max({&m, &n, &k, &batch}, [](const int64_t* x, const int64_t* y) { return *x < *y; });
    *largest /= 2;
  }
  if (dice.once_in(40)) k = 0;
  c.set("m", m), c.set("n", n), c.set("k", k), c.set("batch", dice.once_in(40) ? 0 : batch);
  for (const char* name : {"a_turned", "b_turned", "b_shared"}) c.set(name, dice.below(2));
  if (dice.once_in(2)) c.set_real("alpha", dice.one_of({0.5F, -0.125F, 0.0F, 3.0F}));
  draw_data(c, dice);
  return c;
}

std::vector<Listed> list() {
  return list_per_isa("matmul", "f32 bf16 f16 in any mix, either operand turned");
}

}  // namespace

Family matmul_family() {
  return {.name = "matmul",
          .about = "c[m,n] = alpha * sum_k a[m,k] * b[k,n] for every batch index",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = list};
}

}  // namespace narrow::kernel_cases
