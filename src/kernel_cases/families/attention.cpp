// Fused attention (kernels/attention).
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernel_cases/common_fields.h"
#include "kernel_cases/per_isa.h"

namespace narrow::kernel_cases {
namespace {

using kernels::AttentionBuffers;
using kernels::AttentionSpec;
using kernels::AttentionStrides;

constexpr size_t kFp32 = 0, kAmx = 1;

Fields fields() {
  Fields f;
  for (const char* name : {"q", "k", "v", "dst"}) add_format(f, name, kAllTypes);
  f.push_back(size_field("batch", 1, 0));
  for (const char* name : {"heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_dim"})
    f.push_back(size_field(name, 1));
  f.push_back(flag_field("heads_first"));
  f.push_back(flag_field("causal"));
  f.push_back(size_field("causal_offset", 0, -(1 << 20)));
  f.push_back(choice_field("mask", {"none", "keys", "full"}));
  add_data(f);
  return f;
}

std::string invalid(const Case& c) {
  for (const char* name : {"q", "k", "v", "dst"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  if (c.size("heads") % c.size("kv_heads") != 0) return "kv_heads: wants a divisor of heads";
  const int64_t rows = product({c.size("batch"), c.size("heads"), c.size("q_len")});
  const int64_t keys = product({c.size("batch"), c.size("kv_heads"), c.size("kv_len")});
  for (const std::string& wrong :
       {too_large("q", {rows, c.size("head_dim")}), too_large("dst", {rows, c.size("v_dim")}),
        too_large("k", {keys, c.size("head_dim")}), too_large("v", {keys, c.size("v_dim")}),
        too_large("mask", {rows, c.size("kv_len")})})
    if (!wrong.empty()) return wrong;
  return {};
}

/// [batch, rows, heads, dim], or [batch, heads, rows, dim].
AttentionStrides strides_of(bool heads_first, int64_t heads, int64_t rows, int64_t dim) {
  if (heads_first) return {heads * rows * dim, rows * dim, dim};
  return {rows * heads * dim, dim, heads * dim};
}

AttentionSpec spec_of(const Case& c) {
  AttentionSpec s;
  s.batch = c.size("batch"), s.heads = c.size("heads"), s.kv_heads = c.size("kv_heads");
  s.q_len = c.size("q_len"), s.kv_len = c.size("kv_len"), s.head_dim = c.size("head_dim"),
  s.v_dim = c.size("v_dim");
  s.q = format_of(c, "q", 1 / 128.0F), s.k = format_of(c, "k", 1 / 128.0F),
  s.v = format_of(c, "v", 1 / 128.0F);
  s.dst = format_of(c, "dst", 1 / 128.0F);
  const bool first = c.flag("heads_first");
  s.q_strides = strides_of(first, s.heads, s.q_len, s.head_dim),
  s.dst_strides = strides_of(first, s.heads, s.q_len, s.v_dim);
  s.k_strides = strides_of(first, s.kv_heads, s.kv_len, s.head_dim);
  s.v_strides = strides_of(first, s.kv_heads, s.kv_len, s.v_dim);
  s.scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
  s.causal = c.flag("causal"), s.causal_offset = c.size("causal_offset");
  if (c.choice("mask") == 0) return s;
  s.mask = true, s.mask_column = 1, s.mask_batch = s.kv_len;
  if (c.choice("mask") == 2)
    s.mask_row = s.kv_len, s.mask_head = s.q_len * s.kv_len, s.mask_batch = s.heads * s.mask_head;
  return s;
}

/// In [-1, 1], but for the keys that a mask hides. Key 0 stays seen: in a row of only -10000 the scores
/// themselves would round to 2^-10.
Bytes mask_of(const AttentionSpec& s, Random& random) {
  Bytes bytes(static_cast<size_t>(s.batch * s.mask_batch) * 4);
  for (int64_t i = 0; i < s.batch * s.mask_batch; ++i) {
    const bool hidden = i % s.kv_len > 0 && random.integer(0, 3) == 0;
    const float x = hidden ? -10000.0F : static_cast<float>(random.uniform(-1, 1));
    std::memcpy(bytes.data() + i * 4, &x, 4);
  }
  return bytes;
}

float largest(const kernels::Format& format, const Bytes& bytes) {
  float most = 0;
  for (const float x :
       reals(format, bytes.data(), static_cast<int64_t>(bytes.size()) / bytes_of(format.type)))
    most = std::max(most, std::fabs(x));
  return most;
}

/// A score is off by scale * d * max |q| * max |k| * e, where e = (d + 1) u for FP32 sums, plus 2^-7 when
/// 8-bit q and k are rounded to bf16, and by 4 u of a mask's -+1; weights by twice that relatively, by 2^-8
/// when rounded to bf16, by 2 (n + 8) u from sums and exp; so the result by that times max |v|, and by 2^-8
/// of it when v is rounded. u = 2^-24.
float bound(const AttentionSpec& s, const Problem& p, bool amx) {
  const float u = 0x1p-24F, d = static_cast<float>(s.head_dim), n = static_cast<float>(s.kv_len);
  const bool narrowed = amx && (is_int8(s.q.type) || is_int8(s.k.type));
  const float products = s.scale * d * largest(s.q, p.inputs[0]) * largest(s.k, p.inputs[1]);
  const float score = products * ((d + 4) * u + (narrowed ? 0x1p-7F : 0)) + (s.mask ? 4 * u : 0);
  const float weight = std::expm1(2 * score) + 2 * (n + 8) * u + (amx ? 0x1p-7F : 0);
  return largest(s.v, p.inputs[2]) * (weight + (amx && is_int8(s.v.type) ? 0x1p-8F : 0)) + 0x1p-100F;
}

AttentionBuffers buffers(const std::vector<const void*>& in, void* dst, void* scratch) {
  return {in[0], in[1], in[2], in.size() > 3 ? static_cast<const float*>(in[3]) : nullptr, dst, scratch};
}

void solve(const AttentionSpec& s, Problem& p) {
  Output& dst = p.outputs[0];
  std::vector<const void*> in;
  for (const Bytes& input : p.inputs) in.push_back(input.data());
  dst.want.resize(static_cast<size_t>(dst.bytes()));
  attention_reference(s, buffers(in, dst.want.data(), nullptr));
  AttentionSpec wide = s;
  wide.dst = {DType::f32, {}};
  dst.real.resize(static_cast<size_t>(dst.count()));
  attention_reference(wide, buffers(in, dst.real.data(), nullptr));
  dst.bounds.clear();
  for (const bool amx : {false, true}) dst.bounds.emplace_back(dst.real.size(), bound(s, p, amx));
}

Problem pose(const Case& c) {
  const AttentionSpec s = spec_of(c);
  Random random = random_of(c);
  Problem p;
  const int64_t keys = s.batch * s.kv_heads * s.kv_len, rows = s.batch * s.heads * s.q_len;
  p.inputs = {make_values(random, s.q.type, rows * s.head_dim, values_of(c)),
              make_values(random, s.k.type, keys * s.head_dim, values_of(c)),
              make_values(random, s.v.type, keys * s.v_dim, values_of(c))};
  if (s.mask) p.inputs.push_back(mask_of(s, random));
  p.outputs = {{.name = "dst", .format = s.dst, .extents = {s.batch, s.q_len, s.heads, s.v_dim}}};
  if (c.flag("heads_first")) std::swap(p.outputs[0].extents[1], p.outputs[0].extents[2]);
  p.candidates = per_isa(
      "attention",
      {.run = [s](const Memory& m, Isa isa,
                  ThreadPool& pool) { attention(s, buffers(m.in, m.out[0], m.scratch), isa, pool); },
       .scratch_bytes = [s](Isa isa, int threads) { return attention_scratch_bytes(s, isa, threads); },
       .amx_accuracy = kAmx});
  p.solve = [s](Problem& problem) { solve(s, problem); };
  p.operations = 2 * static_cast<double>(rows * s.kv_len) * static_cast<double>(s.head_dim + s.v_dim);
  p.bytes = bytes_of_operands(p);
  return p;
}

Case draw(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("attention"));
  for (const char* name : {"q", "k", "v", "dst"}) draw_format(c, name, kAllTypes, dice);
  if (dice.once_in(2))
    for (const char* name : {"k", "v", "dst"})
      c.set(name, c.choice("q")), c.set(std::string(name) + "_zero", c.size("q_zero"));
  const int64_t kv_heads = dice.between(1, 3), heads = kv_heads * dice.between(1, 3);
  int64_t q_len = dice.extent(70), kv_len = dice.extent(120);
  const int64_t dim = dice.extent(100), v_dim = dice.once_in(2) ? dim : dice.extent(130);
  while (heads * q_len * kv_len * (dim + v_dim) > budget && q_len * kv_len > 1)
    (q_len > kv_len ? q_len : kv_len) /= 2;
  c.set("batch", dice.once_in(40) ? 0 : dice.between(1, 2)), c.set("heads", heads),
      c.set("kv_heads", kv_heads);
  c.set("q_len", q_len), c.set("kv_len", kv_len), c.set("head_dim", dim), c.set("v_dim", v_dim);
  c.set("heads_first", dice.below(2)), c.set("mask", dice.below(3));
  if (dice.once_in(2))
    c.set("causal", 1), c.set("causal_offset", kv_len - q_len + (dice.once_in(4) ? dice.between(-3, 3) : 0));
  draw_data(c, dice);
  if (values_of(c) == Values::extreme) c.set("values", 0);  // scores beyond what FP32 tells apart say nothing
  return c;
}

static_assert(kFp32 == 0, "per_isa() gives what is below AMX the accuracy 0");

}  // namespace

Family attention_family() {
  return {.name = "attention",
          .about = "dst = softmax(scale * q kT + mask) v, a block of rows at a time",
          .fields = fields(),
          .invalid = invalid,
          .draw = draw,
          .pose = pose,
          .candidates = [] { return list_per_isa("attention", "f32 bf16 f16 u8 s8 in any mix"); }};
}

}  // namespace narrow::kernel_cases
