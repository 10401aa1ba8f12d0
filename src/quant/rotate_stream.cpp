#include "quant/rotate_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "passes/match.h"
#include "quant/scale_groups.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

/// Divided by a smaller share of the largest gamma, a beta would become an outlier of its own.
constexpr double kLeastGamma = 1e-2;

std::vector<double> vector_of(const NormConstant& constant, int64_t channels, double absent) {
  std::vector<double> list(static_cast<size_t>(channels), absent);
  if (constant.node == nullptr) return list;
  const auto values = passes::per_channel(constant.node->input(constant.input), 8, 7, channels);
  NARROW_CHECK(values);
  std::copy(values->begin(), values->end(), list.begin());
  return list;
}

bool is_zero(const std::vector<double>& list) {
  return std::all_of(list.begin(), list.end(), [](double x) { return x == 0; });
}

/// The constant that is added to what a product makes, and what a number added to the product's own result
/// is there.
struct Bias {
  Node* node;
  int input;
  double factor;
};

std::optional<Bias> bias_of(const ir::Graph& graph, Node* node) {
  if (node->op() == Op::Gemm && node->input(2) != nullptr) {
    const auto alpha = static_cast<double>(node->float_attr("alpha", 1)),
               beta = static_cast<double>(node->float_attr("beta", 1));
    return beta == 0 ? std::nullopt : std::optional(Bias{node, 2, alpha / beta});
  }
  const double alpha = node->op() == Op::Gemm ? static_cast<double>(node->float_attr("alpha", 1)) : 1;
  Node* add = passes::only_reader(graph, node->output(), Op::Add);
  if (add == nullptr || add->input(0) == add->input(1)) return std::nullopt;
  const int input = add->input(0) == node->output() ? 1 : 0;
  const Value* c = add->input(input);
  const int64_t results = weight_view(*node).outputs;
  if (!c->is_constant() || c->type.dtype != DType::f32 || c->type.quant ||
      (c->constant().rank() > 0 && c->constant().shape().back() != results &&
       c->constant().shape().back() != 1))
    return std::nullopt;
  return Bias{add, input, alpha};
}

bool has_biases(const ir::Graph& graph, const StreamNorm& norm) {
  return std::all_of(norm.readers.begin(), norm.readers.end(),
                     [&](const StreamConstant& r) { return bias_of(graph, r.node).has_value(); });
}

std::string name_of(const StreamNorm& norm) { return norm.site.result->name; }

/// factor * beta W.
std::vector<double> passed_through(const Node& node, const std::vector<double>& beta, double factor) {
  const WeightView w = weight_view(node);
  std::vector<double> sums(static_cast<size_t>(w.outputs), 0);
  for (int64_t o = 0; o < w.outputs; ++o)
    for (int64_t i = 0; i < w.inputs; ++i)
      sums[static_cast<size_t>(o)] +=
          factor * beta[static_cast<size_t>(i)] * static_cast<double>(w.at(o, i, 0));
  return sums;
}

Tensor filled(const Tensor& like, float value) {
  Tensor tensor = Tensor::allocate(DType::f32, like.shape());
  const auto data = tensor.mutable_data<float>();
  std::fill(data.begin(), data.end(), value);
  return tensor;
}

std::string turn_key(const Rotation& rotation, int64_t axis, const std::string& scaled = "") {
  return fmt::format("stream {} {} {} {}", rotation.size(), rotation.is_reflected(), axis, scaled);
}

/// Axis of a constant counted from its front.
int64_t front_axis(const StreamConstant& c) {
  return c.axis >= 0 ? c.axis : std::max<int64_t>(c.node->input(c.input)->constant().rank(), 1) - 1;
}

void turn(const StreamConstant& c, const Rotation& rotation, const std::vector<double>& scale,
          const std::string& scaled, ConstantEdits& edits) {
  const int64_t axis = front_axis(c);
  edits.add(c.node, c.input, turn_key(rotation, axis, scaled), [axis, rotation, scale](const Tensor& tensor) {
    return rotated(tensor, axis, rotation.size(), {0}, rotation, scale);
  });
}

}  // namespace

std::string obstacle_to_norms(const ir::Graph& graph, const Stream& stream) {
  for (const StreamNorm& norm : stream.norms) {
    const std::vector<double> beta = vector_of(norm.site.beta, stream.channels, 0);
    if (is_zero(beta) || has_biases(graph, norm)) continue;
    const std::vector<double> gamma = vector_of(norm.site.gamma, stream.channels, 1);
    double largest = 0;
    for (const double g : gamma) largest = std::max(largest, std::fabs(g));
    for (size_t i = 0; i < beta.size(); ++i)
      if (beta[i] != 0 && std::fabs(gamma[i]) <= kLeastGamma * largest)
        return fmt::format(
            "'{}' has numbers that hardly any gamma scales and products without a bias that read them",
            name_of(norm));
  }
  return "";
}

void take_norms_out(const ir::Graph& graph, const Stream& stream, const Rotation& rotation,
                    ConstantEdits& edits) {
  for (const StreamNorm& norm : stream.norms) {
    const NormSite& site = norm.site;
    if (site.gamma.node != nullptr)
      edits.add(site.gamma.node, site.gamma.input, "ones", [](const Tensor& t) { return filled(t, 1); });
    const std::vector<double> beta = vector_of(site.beta, stream.channels, 0);
    if (is_zero(beta)) continue;
    const std::string name = site.beta.node->input(site.beta.input)->name;
    if (!has_biases(graph, norm)) {
      std::vector<double> scale = vector_of(site.gamma, stream.channels, 1);
      for (double& g : scale) g = g == 0 ? 0 : 1 / g;  // beta is 0 there
      turn({site.beta.node, site.beta.input, -1}, rotation, scale, site.result->name, edits);
      continue;
    }
    edits.add(site.beta.node, site.beta.input, "zeros", [](const Tensor& t) { return filled(t, 0); });
    for (const StreamConstant& reader : norm.readers) {
      const Bias bias = *bias_of(graph, reader.node);
      const std::vector<double> sums = passed_through(*reader.node, beta, bias.factor);
      edits.add(bias.node, bias.input, fmt::format("{} through {}", name, reader.node->input(1)->name),
                [sums](const Tensor& t) { return shifted(t, sums); });
    }
  }
}

void turn_stream(const Stream& stream, const Rotation& rotation, ConstantEdits& edits) {
  for (const StreamConstant& reader : stream.readers) turn(reader, rotation, {}, "", edits);
  for (const StreamNorm& norm : stream.norms)
    for (const StreamConstant& reader : norm.readers) {
      const NormConstant& gamma = norm.site.gamma;
      const std::string scaled = gamma.node == nullptr ? "" : gamma.node->input(gamma.input)->name;
      turn(reader, rotation, vector_of(gamma, stream.channels, 1), scaled, edits);
    }
  for (const StreamConstant& writer : stream.writers) turn(writer, rotation, {}, "", edits);
}

}  // namespace narrow::quant
