// Convolutions and products with constant weights: every candidate of kernels/conv.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernel_cases/families/conv_spec.h"

namespace narrow::kernel_cases {
namespace {

using kernels::ConvShape;

constexpr int64_t kMostIntegerDepth = 65793;  // 255 * 128 * depth < 2^31: int32 sums stay exact

Fields fields() {
  Fields f;
  add_format(f, "src", kAllTypes);
  f.push_back(choice_field("weights", {"f32", "bf16", "f16", "s8"}));
  f.push_back(real_field("weights_scale", 0));
  f.push_back(flag_field("per_channel"));
  f.push_back(flag_field("parabolas"));
  add_format(f, "dst", kAllTypes);
  f.push_back(size_field("n", 1, 0));
  for (const char* name : {"h", "w", "c", "oc"}) f.push_back(size_field(name, 1));
  f.push_back(pair_field("kernel", 1));
  f.push_back(pair_field("stride", 1));
  f.push_back(pair_field("pad", 0, 0));
  f.push_back(pair_field("out", -1, 0));
  f.push_back(pair_field("dilation", 1));
  f.push_back(size_field("groups", 1));
  f.push_back(flag_field("bias"));
  add_format(f, "residual", {"none", "f32", "bf16", "f16", "u8", "s8"});
  add_activation(f);
  add_data(f);
  return f;
}

/// As many outputs as fit with the same padding on both sides.
int64_t outputs(int64_t extent, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  const int64_t room = extent + 2 * pad - (kernel - 1) * dilation - 1;
  return room < 0 ? 0 : room / stride + 1;
}

void complete(Case& c) {
  int64_t oh = c.height("out"), ow = c.width("out");
  if (oh < 0)
    oh = outputs(c.size("h"), c.height("kernel"), c.height("stride"), c.height("pad"), c.height("dilation"));
  if (ow < 0)
    ow = outputs(c.size("w"), c.width("kernel"), c.width("stride"), c.width("pad"), c.width("dilation"));
  c.set("out", oh, ow);
}

std::string invalid_types(const Case& c) {
  for (const char* name : {"src", "dst", "residual"})
    if (std::string wrong = invalid_format(c, name); !wrong.empty()) return wrong;
  if (c.real("weights_scale") < 0) return "weights_scale: wants more than 0";
  if (is_int8(c.type("src")) != (c.type("weights") == DType::s8))
    return fmt::format("src={} weights={}: u8 and s8 go with s8, floats with floats",
                       to_string(c.type("src")), to_string(c.type("weights")));
  return invalid_activation(c);
}

std::string invalid(const Case& c) {
  if (std::string wrong = invalid_types(c); !wrong.empty()) return wrong;
  const ConvShape s = conv_shape_of(c);
  if (s.oh < 0 || s.ow < 0) return fmt::format("out={}x{}: wants at least 0", s.oh, s.ow);
  if (s.c % s.groups != 0 || s.oc % s.groups != 0)
    return fmt::format("groups={}: wants a divisor of c={} and oc={}", s.groups, s.c, s.oc);
  const int64_t depth = product({s.c / s.groups, s.kh, s.kw});
  if (is_int8(c.type("src")) && depth > kMostIntegerDepth)
    return fmt::format("{} products per sum: wants at most {}", depth, kMostIntegerDepth);
  for (const std::string& wrong :
       {too_large("src", {s.n, s.h, s.w, s.c}), too_large("dst", {s.n, s.oh, s.ow, s.oc}),
        too_large("weights", {s.oc, depth})})
    if (!wrong.empty()) return wrong;
  constexpr int64_t kMostMacs = int64_t{1} << 40;
  if (product({product({s.n, s.oh, s.ow, s.oc}), depth}) > kMostMacs)
    return fmt::format("more than 2^40 multiply-adds");
  return {};
}

}  // namespace

ConvShape conv_shape_of(const Case& c) {
  ConvShape s{.n = c.size("n"), .h = c.size("h"), .w = c.size("w"), .c = c.size("c")};
  s.oh = c.height("out"), s.ow = c.width("out"), s.oc = c.size("oc");
  s.kh = c.height("kernel"), s.kw = c.width("kernel");
  s.stride_h = c.height("stride"), s.stride_w = c.width("stride");
  s.pad_top = c.height("pad"), s.pad_left = c.width("pad");
  s.dilation_h = c.height("dilation"), s.dilation_w = c.width("dilation");
  s.groups = c.size("groups");
  return s;
}

kernels::ConvSpec conv_spec_of(const Case& c) {
  kernels::ConvSpec spec;
  spec.shape = conv_shape_of(c);
  spec.src = c.type("src"), spec.weights = c.type("weights"), spec.dst = c.type("dst");
  spec.residual = c.type("residual"), spec.bias = c.flag("bias");
  spec.activation = activation_of(c);
  const int64_t products = spec.shape.c / spec.shape.groups * spec.shape.kh * spec.shape.kw;
  const auto depth = static_cast<float>(products);
  const bool integer = is_int8(spec.src);
  // Uniform bytes deviate by 74: sums of variance 1. Uniform floats deviate by 1 / sqrt(3).
  spec.src_quant = format_of(c, "src", 0.02F).quant;
  spec.dst_quant = format_of(c, "dst", integer ? 0.03F : 0.01F * std::sqrt(depth)).quant;
  spec.residual_quant = format_of(c, "residual", 0.025F).quant;
  if (!integer) return spec;
  if (c.flag("parabolas")) kernels::give_function(spec);
  const float given = c.real("weights_scale");
  const float scale = given != 0 ? given : 0.9F / (0.02F * 74 * 74 * std::sqrt(depth));
  spec.weight_scale.assign(c.flag("per_channel") ? static_cast<size_t>(spec.shape.oc) : 1, scale);
  Random random = random_of(c);
  if (c.flag("per_channel"))
    for (float& one : spec.weight_scale) one *= static_cast<float>(random.uniform(0.5, 2));
  return spec;
}

Family conv_family() {
  return {.name = "conv",
          .about = "dst = act(conv(src, weights) + bias + residual), channels last",
          .fields = fields(),
          .complete = complete,
          .invalid = invalid,
          .draw = draw_conv,
          .smaller = smaller_conv,
          .pose = pose_conv,
          .candidates = list_conv};
}

}  // namespace narrow::kernel_cases
