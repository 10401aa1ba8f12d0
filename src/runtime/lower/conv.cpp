// FusedConv -> the convolution family of kernels/conv.
#include <fmt/format.h>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_clamp.h"
#include "runtime/lower/conv_step.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using kernels::ConvSpec;

/// The node as the kernels see it, or why they cannot.
std::string make_spec(const NodeCase& c, ConvSpec& spec) {
  const ir::Node& node = c.node;
  if (node.int_attr("channels_last", 0) != 1) return "channels are not last";
  if (c.in(0).rank() != 4) return fmt::format("rank {}: wants 4", c.in(0).rank());
  if (c.constant(1) == nullptr) return "weights are not constant";
  if (c.has(2) && c.constant(2) == nullptr) return "bias is not constant";
  const Shape x = c.in(0).shape(), w = c.in(1).shape(), y = c.out().shape();
  const auto strides = node.ints_attr("strides", {1, 1}), dilations = node.ints_attr("dilations", {1, 1}),
             pads = node.ints_attr("pads", {0, 0, 0, 0});
  spec.shape = {.n = x[0],
                .h = x[1],
                .w = x[2],
                .c = x[3],
                .oh = y[1],
                .ow = y[2],
                .oc = y[3],
                .kh = w[2],
                .kw = w[3],
                .stride_h = strides[0],
                .stride_w = strides[1],
                .pad_top = pads[0],
                .pad_left = pads[1],
                .dilation_h = dilations[0],
                .dilation_w = dilations[1],
                .groups = node.int_attr("group", 1),
                .src_pitch = c.src_pitch,
                .dst_pitch = c.dst_pitch};
  return finish_spec(c, spec);
}

}  // namespace

std::string finish_spec(const NodeCase& c, ConvSpec& spec) {
  spec.src = c.in(0).dtype;
  spec.weights = c.in(1).dtype;
  spec.dst = c.out().dtype;
  spec.bias = c.has(2);
  spec.residual = c.has(3) ? c.in(3).dtype : DType::undefined;
  if (!read_activation(c.node, spec.activation))
    return "unknown activation " + c.node.string_attr("activation", "");
  if (is_int8(spec.src)) {
    if (!c.in(0).quant || !c.in(0).quant->per_tensor()) return "input scale is not per tensor";
    if (spec.weights != DType::s8 || !c.in(1).quant) return "weights are not symmetric s8";
    for (const int32_t zero : c.in(1).quant->zero_point)
      if (zero != 0) return "weights have a zero point";
    if (spec.bias && c.in(2).dtype != DType::s32) return "bias is not s32";
    spec.src_quant = tensor_quant(c.in(0));
    spec.weight_scale = c.in(1).quant->scale;
  } else {
    if (spec.bias && c.in(2).dtype != DType::f32) return "bias is not f32";
  }
  if (is_int8(spec.dst) && !c.out().quant) return "integer output without a scale";
  if (is_int8(spec.residual) && !c.in(3).quant) return "integer residual without a scale";
  spec.dst_quant = tensor_quant(c.out());
  if (is_int8(spec.dst) && !c.out().quant->per_tensor()) {
    const Quantization& own = *c.out().quant;  // of each channel
    if (own.axis != c.out().rank() - 1) return "scales of the output are not its channels'";
    for (const int32_t zero : own.zero_point)
      if (zero != own.zero_point[0]) return "channels of the output differ in their zero points";
    spec.dst_quant.zero_point = own.zero_point[0];
    spec.dst_scales = own.scale;
    std::string reason = kernels::unsupported_dst_scales(spec);
    if (!reason.empty()) return reason;
  }
  if (c.has(3)) spec.residual_quant = tensor_quant(c.in(3));
  if (c.node.int_attr("parabolas", 0) != 0) kernels::give_function(spec);
  return "";
}

namespace {

/// What a candidate's name says it computes on.
const char* formats_of(const std::string& name) {
  if (name.find("int8") != std::string::npos) return "u8 s8";
  if (name.find("half") != std::string::npos) return "bf16 f16";
  if (name.find("bf16") != std::string::npos) return "bf16";
  return name.find("f16") != std::string::npos ? "f16" : "f32";
}

}  // namespace

std::vector<Implementation> conv_implementations(MakeSpec make, MakeWeights weights) {
  std::vector<Implementation> list;
  for (const kernels::ConvCandidate& candidate : kernels::conv_candidates()) {
    const kernels::ConvCandidate* chosen = &candidate;
    list.push_back({.name = candidate.name,
                    .isa = candidate.isa,
                    .unsupported =
                        [make, chosen](const NodeCase& c) {
                          ConvSpec spec;
                          std::string reason = make(c, spec);
                          if (reason.empty()) reason = chosen->unsupported(spec);
                          if (reason.empty() && chosen->slower_here != nullptr)
                            reason = chosen->slower_here();
                          if (reason.empty() && c.dst_pitch > 0 && c.has(3))
                            reason = "pixels of the output are apart, of the residual not";
                          return reason;
                        },
                    .create = [make, weights, chosen](const NodeCase& c) -> Result<std::unique_ptr<Kernel>> {
                      ConvSpec spec;
                      const std::string reason = make(c, spec);
                      NARROW_CHECK(reason.empty());
                      const Tensor& constant = *c.constant(1);
                      const void* bias = c.constant(2) != nullptr ? c.constant(2)->raw() : nullptr;
                      const PackRequest request{c.node.output(0)->name,     *chosen, spec, constant,
                                                [&] { return weights(c); }, bias};
                      auto packed = c.packs->get(request);
                      return std::unique_ptr<Kernel>(
                          std::make_unique<ConvStep>(chosen->create(spec, packed, c.threads), packed));
                    },
                    .formats = formats_of(candidate.name)});
  }
  return list;
}

void add_convolutions(Table& table) {
  table[ir::Op::FusedConv] =
      conv_implementations(make_spec, [](const NodeCase& c) { return *c.constant(1); });
}

}  // namespace narrow::runtime::lower
