// A convolution's operands, its candidates, and what the family supports.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "kernel_cases/families/conv_spec.h"

namespace narrow::kernel_cases {
namespace {

using kernels::ConvCandidate;
using kernels::ConvShape;
using kernels::ConvSpec;

/// s32 in units of the sums, and never so large that a sum leaves int32; else f32.
Bytes make_bias(const Case& c, const ConvOperands& operands, Random& random) {
  const int64_t oc = operands.spec.shape.oc;
  if (!is_int8(operands.spec.src)) return make_values(random, DType::f32, oc, values_of(c));
  const int64_t most = INT32_MAX - operands.depth() * 255 * 128;
  const int64_t limit =
      values_of(c) == Values::uniform || values_of(c) == Values::relu ? std::min<int64_t>(3000, most) : most;
  Bytes bias(static_cast<size_t>(oc) * 4);
  for (int64_t o = 0; o < oc; ++o) {
    const int64_t ends[] = {limit, -limit, random.integer(-limit, limit)};
    const auto b = static_cast<int32_t>(values_of(c) == Values::uniform ? ends[2] : ends[random.next() % 3]);
    std::memcpy(bias.data() + o * 4, &b, 4);
  }
  return bias;
}

size_t accuracy_of(std::string_view candidate) {
  if (candidate.starts_with("conv_f32_winograd")) return kWinograd;
  if (candidate.starts_with("conv_half_winograd")) return kWinograd4;
  return candidate == "conv_f16_amx" ? kSplit : kDirect;
}

Candidate candidate_for(const ConvCandidate& kernel, const std::shared_ptr<const ConvOperands>& operands) {
  // Packed once, whatever the number of threads.
  auto packed = std::make_shared<std::shared_ptr<const kernels::PackedWeights>>();
  const auto prepare = [&kernel, operands, packed](int threads) -> PreparedKernel {
    if (*packed == nullptr) *packed = kernel.pack(operands->spec, operands->constants());
    const std::shared_ptr<kernels::ConvKernel> ready = kernel.create(operands->spec, *packed, threads);
    return {.scratch_bytes = ready->scratch_bytes(), .run = [ready](const Memory& m, ThreadPool& pool) {
              ready->run({m.in[0], m.in.size() > 1 ? m.in[1] : nullptr, m.out[0], m.scratch}, pool);
            }};
  };
  return {.name = kernel.name,
          .isa = kernel.isa,
          .refusal = kernel.unsupported(operands->spec),
          .prepare = prepare,
          .accuracy = accuracy_of(kernel.name)};
}

struct Probe {
  const char* name;
  ConvShape shape;
};

/// Shapes that tell the candidates apart; none is a special case of the one before.
std::vector<Probe> probes() {
  ConvShape s{.n = 1, .h = 28, .w = 28, .c = 64, .oh = 28, .ow = 28, .oc = 64, .kh = 3, .kw = 3};
  s.pad_top = s.pad_left = 1;
  std::vector<Probe> list = {{"3x3", s}};
  ConvShape channels = s;
  channels.groups = 64;
  s.stride_h = s.stride_w = 2, s.oh = s.ow = 14, s.dilation_h = 2;
  list.push_back({"any window", s});
  s.groups = 2;
  list.push_back({"groups", s});
  s.groups = 64;
  list.push_back({"depthwise", channels});
  list.push_back({"depthwise strided", s});
  ConvShape point{.n = 1, .h = 7, .w = 7, .c = 64, .oh = 7, .ow = 7, .oc = 64};
  point.groups = 64;
  list.push_back({"depthwise 1x1", point});
  return list;
}

/// What `unsupported` lets through of every source, weight and destination type and every probe.
std::string support(const ConvCandidate& candidate) {
  std::vector<std::string> pairs, shapes, stores;
  const auto note = [](std::vector<std::string>& list, const std::string& word) {
    if (std::find(list.begin(), list.end(), word) == list.end()) list.push_back(word);
  };
  for (const Probe& probe : probes())
    for (const DType src : {DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8})
      for (const DType weights : {DType::f32, DType::bf16, DType::f16, DType::s8})
        for (const DType dst : {DType::f32, DType::bf16, DType::f16, DType::u8, DType::s8}) {
          ConvSpec spec;
          spec.shape = probe.shape, spec.src = src, spec.weights = weights, spec.dst = dst;
          spec.weight_scale = {1};
          if (!candidate.unsupported(spec).empty()) continue;
          note(pairs, fmt::format("{}*{}", to_string(src), to_string(weights)));
          note(shapes, probe.name);
          note(stores, to_string(dst));
        }
  return fmt::format("{} -> {}; {}", fmt::join(pairs, " "), fmt::join(stores, " "), fmt::join(shapes, ", "));
}

}  // namespace

Problem pose_conv(const Case& c) {
  Random random = random_of(c);
  auto operands = std::make_shared<ConvOperands>();
  operands->spec = conv_spec_of(c);
  const ConvSpec& spec = operands->spec;
  const ConvShape& s = spec.shape;
  Problem p;
  p.inputs.push_back(make_values(random, spec.src, s.n * s.h * s.w * s.c, values_of(c)));
  operands->weights = make_values(random, spec.weights, s.oc * operands->depth(), values_of(c));
  if (spec.bias) operands->bias = make_bias(c, *operands, random);
  p.outputs = {{.name = "dst", .format = {spec.dst, spec.dst_quant}, .extents = {s.n, s.oh, s.ow, s.oc}}};
  if (spec.residual != DType::undefined) {
    p.inputs.push_back(make_values(random, spec.residual, p.outputs[0].count(), values_of(c)));
    if (spec.residual == spec.dst) p.outputs[0].may_overwrite = 1;
  }
  for (const ConvCandidate& kernel : kernels::conv_candidates())
    p.candidates.push_back(candidate_for(kernel, operands));
  p.solve = [operands](Problem& problem) { solve_conv(*operands, problem); };
  p.operations = 2 * static_cast<double>(s.macs());
  p.bytes = static_cast<double>(operands->weights.size() + static_cast<size_t>(p.outputs[0].bytes()));
  for (const Bytes& input : p.inputs) p.bytes += static_cast<double>(input.size());
  return p;
}

std::vector<Listed> list_conv() {
  std::vector<Listed> list;
  for (const ConvCandidate& candidate : kernels::conv_candidates())
    list.push_back({candidate.name, candidate.isa, support(candidate)});
  return list;
}

}  // namespace narrow::kernel_cases
