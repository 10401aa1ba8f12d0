#include "verify/hazards.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>

namespace narrow::verify {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

/// The integers behind a DequantizeLinear of a constant, or null.
const Tensor* stored_constant(const Value* value, DType type) {
  const Node* node = value == nullptr ? nullptr : value->producer();
  if (node == nullptr || node->op() != Op::DequantizeLinear || !node->input(0)->is_constant() ||
      node->input(0)->type.dtype != type)
    return nullptr;
  return &node->input(0)->constant();
}

/// Sum of |code| per result channel; axis as a Conv or Gemm has it.
std::vector<int64_t> code_sums(const Node& node, const Tensor& weights) {
  const int64_t axis = node.op() == Op::Conv || node.int_attr("transB", 0) != 0 ? 0 : 1;
  int64_t inner = 1;
  for (int64_t a = axis + 1; a < weights.rank(); ++a) inner *= weights.dim(a);
  std::vector<int64_t> sums(static_cast<size_t>(weights.dim(axis)), 0);
  const auto codes = weights.data<int8_t>();
  for (size_t i = 0; i < codes.size(); ++i)
    sums[static_cast<size_t>(static_cast<int64_t>(i) / inner % weights.dim(axis))] += std::abs(int{codes[i]});
  return sums;
}

void find_bias_overflows(const ir::Graph& build, std::vector<std::string>& list) {
  constexpr int64_t kLargestData = 255, kLimit = (int64_t{1} << 31) - 1;
  for (const Node* node : build.nodes()) {
    if (node->op() != Op::Conv && node->op() != Op::Gemm) continue;
    const Tensor* bias = stored_constant(node->input(2), DType::s32);
    const Tensor* weights = stored_constant(node->input(1), DType::s8);
    if (bias == nullptr || weights == nullptr || weights->rank() < 2) continue;
    const std::vector<int64_t> sums = code_sums(*node, *weights);
    const std::vector<int64_t> codes = to_ints(*bias);
    if (codes.size() != sums.size()) continue;
    int64_t channels = 0;
    for (size_t c = 0; c < codes.size(); ++c)
      if (std::abs(codes[c]) + kLargestData * sums[c] > kLimit) ++channels;
    if (channels > 0)
      list.push_back(fmt::format("bias_overflow: {}: bias and products of {} of {} channels can pass int32",
                                 node->location(), channels, codes.size()));
  }
}

/// The value a QuantizeLinear or a pair of Q and DQ stands for.
const Value* original(const Value* value) {
  while (value->producer() != nullptr &&
         (value->producer()->op() == Op::DequantizeLinear || value->producer()->op() == Op::QuantizeLinear))
    value = value->producer()->input(0);
  return value;
}

/// Scale and zero point of a QuantizeLinear with one scale.
struct Step {
  double scale = 0;
  int64_t zero_point = 0;
};

std::optional<Step> step_of(const Node& quantize) {
  const Value *scale = quantize.input(1), *zero = quantize.input(2);
  if (scale == nullptr || !scale->is_constant() || scale->constant().elements() != 1) return std::nullopt;
  Step step{.scale = to_floats(scale->constant())[0], .zero_point = 0};
  if (zero != nullptr && zero->is_constant()) step.zero_point = to_ints(zero->constant())[0];
  return step;
}

/// By ONNX value name.
using Reports = std::map<std::string, const LayerReport*>;

const LayerReport* report_of(const Reports& reports, const Value* value) {
  const auto it = reports.find(value->origin.empty() ? value->name : value->origin);
  return it == reports.end() ? nullptr : it->second;
}

/// Root mean square in FP32.
double rms_of(const LayerReport& report) { return std::sqrt(report.accumulated.distortion.signal_power()); }

void find_mask(const Node& quantize, const Step& step, const Reports& reports,
               std::vector<std::string>& list) {
  constexpr double kMask = -1e4, kMost = 0.5;
  const int64_t lowest = quantize.output()->type.dtype == DType::s8 ? -128 : 0;
  const double low = static_cast<double>(lowest - step.zero_point) * step.scale;
  const Value* value = quantize.input(0);
  const LayerReport* report = report_of(reports, value);
  if (low > kMask || report == nullptr || report->accumulated.distortion.zero_share() < kMost) return;
  list.push_back(
      fmt::format("mask: '{}' ({}) is stored from {:.4g} on in steps of {:.3g}, and {:.0f}% of it is zero",
                  value->name, value->producer() == nullptr ? "an input" : value->producer()->location(), low,
                  step.scale, 100 * report->accumulated.distortion.zero_share()));
}

void find_shared_concat(const Node& quantize, const Step& step, const Reports& reports,
                        std::vector<std::string>& list) {
  constexpr double kFew = 2, kMany = 16;
  const Node* concat = quantize.input(0)->producer();
  if (concat == nullptr || concat->op() != Op::Concat) return;
  // The Concat itself may be no step of the plan: its inputs are written in place.
  double square = 0, count = 0;
  for (const Value* part : concat->inputs())
    if (const LayerReport* report = report_of(reports, original(part))) {
      const auto elements = static_cast<double>(report->accumulated.distortion.count());
      square += report->accumulated.distortion.signal_power() * elements;
      count += elements;
    }
  const double whole = count > 0 ? std::sqrt(square / count) : 0;
  if (whole < kMany * step.scale) return;
  for (const Value* part : concat->inputs()) {
    const LayerReport* report = report_of(reports, original(part));
    if (report == nullptr || rms_of(*report) >= kFew * step.scale) continue;
    list.push_back(fmt::format(
        "shared_concat: {}: '{}' has a root mean square of {:.3g} under steps of {:.3g}, the whole one of "
        "{:.3g}",
        concat->location(), original(part)->name, rms_of(*report), step.scale, whole));
  }
}

}  // namespace

std::vector<std::string> hazards(const ir::Graph& build, const std::vector<LayerReport>& layers) {
  std::vector<std::string> list;
  find_bias_overflows(build, list);
  Reports reports;
  for (const LayerReport& layer : layers) reports.emplace(layer.value, &layer);
  for (const Node* node : build.nodes()) {
    if (node->op() != Op::QuantizeLinear || node->input(0)->is_constant()) continue;
    const std::optional<Step> step = step_of(*node);
    if (!step) continue;
    find_mask(*node, *step, reports, list);
    find_shared_concat(*node, *step, reports, list);
  }
  return list;
}

}  // namespace narrow::verify
