// Random convolutions, and smaller ones out of one that fails.
#include <algorithm>

#include "base/aligned.h"
#include "kernel_cases/families/conv_spec.h"
#include "kernels/requantize.h"

namespace narrow::kernel_cases {
namespace {

using kernels::ConvShape;

enum class Shape {
  product,
  window,
  strided,
  depthwise,
  scale,
  grouped,
  winograd,
  half_winograd,
  int8_winograd,
  tiny
};

int64_t side(int64_t extent, int64_t kernel, int64_t stride, int64_t pads, int64_t dilation) {
  const int64_t room = extent + pads - (kernel - 1) * dilation - 1;
  return room < 0 ? 0 : room / stride + 1;
}

/// Height and width of the window, its steps, and an output that may reach beyond the input on the far side.
void draw_window(ConvShape& s, Dice& dice, bool plain) {
  s.kh = dice.between(1, plain ? 3 : 7), s.kw = dice.once_in(3) ? dice.between(1, 7) : s.kh;
  s.pad_top = dice.between(0, s.kh / 2 + 1), s.pad_left = dice.between(0, s.kw / 2 + 1);
  if (!plain) {
    s.stride_h = dice.between(1, 4), s.stride_w = dice.once_in(3) ? dice.between(1, 4) : s.stride_h;
    s.dilation_h = dice.once_in(2) ? 1 : dice.between(2, 5),
    s.dilation_w = dice.once_in(2) ? 1 : s.dilation_h;
  }
  const int64_t below = dice.between(0, s.pad_top + 1), right = dice.between(0, s.pad_left + 1);
  s.oh = std::max<int64_t>(1, side(s.h, s.kh, s.stride_h, s.pad_top + below, s.dilation_h));
  s.ow = std::max<int64_t>(1, side(s.w, s.kw, s.stride_w, s.pad_left + right, s.dilation_w));
}

ConvShape draw_shape(Shape kind, Dice& dice) {
  ConvShape s;
  s.n = dice.once_in(4) ? dice.between(2, 4) : 1;
  s.h = dice.extent(24), s.w = dice.extent(24), s.c = dice.extent(160), s.oc = dice.extent(160);
  switch (kind) {
    case Shape::product:
      s.n = s.h = 1, s.w = dice.extent(100), s.c = dice.extent(600);
      s.oh = s.h, s.ow = s.w;
      break;
    case Shape::tiny:
      s.h = dice.between(1, 3), s.w = dice.between(1, 3), s.c = dice.between(1, 5), s.oc = dice.between(1, 5);
      draw_window(s, dice, false);
      break;
    case Shape::window:
    case Shape::strided:
      draw_window(s, dice, kind == Shape::window);
      break;
    case Shape::scale:
    case Shape::depthwise:
      // Half with channels in fours and plain windows, which lines of bytes want.
      if (const bool lines = kind == Shape::depthwise && dice.once_in(2); kind == Shape::depthwise) {
        if (lines) s.c = round_up(s.c, 4);
        draw_window(s, dice, lines);
      }
      s.groups = s.oc = s.c;
      if (kind == Shape::scale) s.oh = s.h, s.ow = s.w;
      break;
    case Shape::grouped:
      s.groups = dice.between(2, 6);
      s.c = s.groups * dice.extent(40), s.oc = s.groups * dice.extent(40);
      draw_window(s, dice, dice.once_in(2));
      break;
    case Shape::winograd:  // what conv_f32_winograd takes: 40 patches of 2x2, 32 channels; from 81 on not
                           // fused
      s.h = s.oh = dice.between(9, 10), s.w = s.ow = dice.between(16, 18), s.kh = s.kw = 3;
      s.pad_top = dice.between(0, 2), s.pad_left = dice.between(0, 2);
      s.c = dice.once_in(8) ? dice.between(81, 97) : dice.between(32, 36), s.oc = dice.between(32, 36);
      if (dice.once_in(4)) s.oc = dice.between(32, 49);
      break;
    case Shape::half_winograd:  // 16 patches of 4x4, 32 channels, which are transformed 128 at a time
      s.h = s.oh = dice.between(13, 16), s.w = s.ow = dice.between(13, 17), s.kh = s.kw = 3;
      s.pad_top = dice.between(0, 2), s.pad_left = dice.between(0, 2);
      s.c = dice.once_in(8) ? dice.between(127, 131) : dice.between(32, 36), s.oc = dice.between(32, 49);
      break;
    case Shape::int8_winograd:  // 32 patches of 4x4, channels in sixteens; from 128 on sums may need parts
      s.h = s.oh = dice.between(21, 24), s.w = s.ow = dice.between(21, 25), s.kh = s.kw = 3;
      s.pad_top = dice.between(0, 2), s.pad_left = dice.between(0, 2);
      s.c = dice.one_of({32, 64, 80, 128}), s.oc = dice.between(16, 48);
  }
  return s;
}

/// Halves the largest extent until the products fit; far sides of the input shrink with the output.
void fit(ConvShape& s, int64_t budget) {
  const bool depthwise = s.is_depthwise();
  while (s.macs() > budget) {
    int64_t filters = s.oc / s.groups, channels = s.c / s.groups;
    int64_t* largest = &s.oh;
    for (int64_t* extent : {&s.ow, &s.n, &s.groups, &filters, &channels})
      if (*extent > *largest) largest = extent;
    if (*largest <= 1) return;
    *largest = *largest / 2;
    s.c = channels * s.groups, s.oc = depthwise ? s.c : filters * s.groups;
  }
  s.h = std::min(s.h, s.oh * s.stride_h + s.kh * s.dilation_h);
  s.w = std::min(s.w, s.ow * s.stride_w + s.kw * s.dilation_w);
  if (s.is_pointwise() ||
      (s.kh == 1 && s.kw == 1 && s.pad_top + s.pad_left == 0 && s.stride_h * s.stride_w == 1))
    s.h = s.oh, s.w = s.ow;
}

void set_shape(Case& c, const ConvShape& s) {
  c.set("n", s.n), c.set("h", s.h), c.set("w", s.w), c.set("c", s.c), c.set("oc", s.oc);
  c.set("kernel", s.kh, s.kw), c.set("stride", s.stride_h, s.stride_w), c.set("pad", s.pad_top, s.pad_left);
  c.set("out", s.oh, s.ow), c.set("dilation", s.dilation_h, s.dilation_w), c.set("groups", s.groups);
}

/// Integers half of the time; conv_f32_winograd takes only f32.
void draw_types(Case& c, Shape kind, Dice& dice) {
  const bool floats = kind == Shape::winograd || kind == Shape::half_winograd;
  draw_format(c, "src",
              kind == Shape::winograd        ? std::vector<std::string>{"f32"}
              : kind == Shape::half_winograd ? std::vector<std::string>{"f32", "bf16", "f16"}
                                             : kAllTypes,
              dice);
  if (kind == Shape::int8_winograd || (!floats && dice.once_in(3))) draw_format(c, "src", {"u8", "s8"}, dice);
  const bool integer = is_int8(c.type("src"));
  if (integer) c.set_choice("weights", "s8");
  if (!integer) c.set("weights", kind == Shape::half_winograd ? dice.between(1, 2) : dice.below(3));
  c.set("per_channel", integer && dice.once_in(2) ? 1 : 0);
  c.set("parabolas", integer && dice.once_in(2) ? 1 : 0);
  draw_format(c, "dst", kAllTypes, dice);
  if (kind == Shape::winograd || dice.once_in(3))
    c.set("dst", c.choice("src")), c.set("dst_zero", c.size("src_zero"));
  if (dice.once_in(2)) draw_format(c, "residual", kAllTypes, dice);
  if (dice.once_in(4)) {
    c.set_choice("residual", to_string(c.type("dst")));  // in place
    c.set("residual_zero", c.size("dst_zero"));
  }
  if (kind == Shape::winograd && dice.once_in(2)) c.set("residual", 0);
  if (is_int8(c.type("dst")) && dice.once_in(8))
    c.set_real("dst_scale", dice.one_of({1e-30F, 1e-9F, 1e9F, 1e-45F}));
}

bool any_takes(const Case& c) {
  const kernels::ConvSpec spec = conv_spec_of(c);
  const auto all = kernels::conv_candidates();
  return std::any_of(all.begin(), all.end(),
                     [&](const kernels::ConvCandidate& k) { return k.unsupported(spec).empty(); });
}

}  // namespace

Case draw_conv(Dice& dice, int64_t budget) {
  Case c = standard_case(*find_family("conv"));
  const auto kind = dice.once_in(16)   ? Shape::winograd
                    : dice.once_in(24) ? Shape::half_winograd
                    : dice.once_in(24) ? Shape::int8_winograd
                                       : static_cast<Shape>(dice.one_of({0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 9}));
  ConvShape shape = draw_shape(kind, dice);
  if (kind < Shape::winograd || kind == Shape::tiny) fit(shape, budget);
  if (dice.once_in(40)) shape.n = 0;
  if (dice.once_in(60)) shape.oh = 0;
  set_shape(c, shape);
  c.set("bias", dice.once_in(3) ? 0 : 1);
  draw_activation(c, dice);
  draw_data(c, dice);
  // Not every mix of float types has a kernel: a few tries for one that has, then one that surely does.
  for (int i = 0; i < 6; ++i) {
    draw_types(c, kind, dice);
    if (any_takes(c)) return c;
  }
  for (const char* name : {"src", "weights", "dst", "residual"}) c.set(name, 0);
  c.set("per_channel", 0), c.set("parabolas", 0);
  return c;
}

std::vector<Case> smaller_conv(const Case& c) {
  std::vector<Case> list;
  const ConvShape s = conv_shape_of(c);
  const auto add = [&](ConvShape shape) {
    list.push_back(c);
    set_shape(list.back(), shape);
  };
  const int64_t group_c = s.c / s.groups, group_oc = s.oc / s.groups;
  for (const int64_t groups : {int64_t{1}, s.groups / 2, s.groups - 1}) {
    if (groups < 1 || groups == s.groups) continue;
    ConvShape fewer = s;
    fewer.groups = groups, fewer.c = group_c * groups, fewer.oc = group_oc * groups;
    add(fewer);
  }
  for (const int64_t less : {s.h / 2, int64_t{1}}) {  // the input and the output that goes with it
    ConvShape low = s, slim = s;
    low.h = std::max<int64_t>(1, s.h - less), low.oh = std::max<int64_t>(0, s.oh - less / s.stride_h);
    slim.w = std::max<int64_t>(1, s.w - less), slim.ow = std::max<int64_t>(0, s.ow - less / s.stride_w);
    add(low), add(slim);
  }
  return list;
}

}  // namespace narrow::kernel_cases
