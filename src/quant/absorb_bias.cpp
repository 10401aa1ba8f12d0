#include "quant/absorb_bias.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "passes/match.h"
#include "quant/channel_profile.h"
#include "quant/scale_groups.h"

namespace narrow::quant {
namespace {

using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;

bool is_f32_constant(const Value* value) {
  return value != nullptr && value->is_constant() && value->type.dtype == DType::f32 && !value->type.quant;
}

/// A constant added to every channel of `value`, and where it is kept.
struct Bias {
  Node* node = nullptr;
  int input = 0;    // of node; absent: none yet
  double sign = 1;  // Gemm: 1 / beta
  int64_t channels = 0;

  int64_t axis() const { return node->op() == Op::Conv ? 1 : node->output()->type.rank() - 1; }
};

std::optional<Bias> layer_bias(Node* node) {
  if (!is_f32_constant(node->input(1))) return std::nullopt;
  const Shape& w = node->input(1)->constant().shape();
  const Value* bias = node->input(2);
  if (node->op() == Op::Conv && w.size() >= 3 && (bias == nullptr || is_f32_constant(bias)))
    return Bias{node, 2, 1, w[0]};
  if (node->op() != Op::Gemm || w.size() != 2 || node->int_attr("transA", 0) != 0) return std::nullopt;
  const int64_t channels = node->int_attr("transB", 0) != 0 ? w[0] : w[1];
  const auto beta = static_cast<double>(node->float_attr("beta", 1.0F));
  if (beta == 0 || (bias != nullptr && !passes::per_channel(bias, 2, 1, channels))) return std::nullopt;
  return Bias{node, 2, 1 / beta, channels};
}

/// The constant an Add puts on the last axis.
std::optional<Bias> added_bias(Node* node) {
  if (node == nullptr || node->op() != Op::Add || !node->output()->type.ranked) return std::nullopt;
  const int constant = node->input(0)->is_constant() ? 0 : 1;
  const int64_t rank = node->output()->type.rank(), channels = passes::known_dim(node->output(), rank - 1);
  if (channels <= 1 || !passes::per_channel(node->input(constant), rank, rank - 1, channels))
    return std::nullopt;
  return Bias{node, constant, 1, channels};
}

std::optional<Bias> norm_bias(Node* node) {
  const Value* shift = node->input(2);
  if (node->op() != Op::LayerNormalization || !is_f32_constant(shift) || shift->constant().rank() != 1)
    return std::nullopt;
  return Bias{node, 2, 1, shift->constant().dim(0)};
}

void add_to(Graph& graph, const Bias& bias, const std::vector<double>& amounts) {
  Value* old = bias.node->input(bias.input);
  std::vector<float> numbers(static_cast<size_t>(bias.channels), 0.0F);
  // An Add's constant spans the last axis of whatever rank; a layer's is a list.
  const int64_t rank = old == nullptr ? 1 : std::max<int64_t>(1, old->constant().rank());
  if (old != nullptr) numbers = *passes::per_channel(old, rank, rank - 1, bias.channels);
  for (size_t c = 0; c < numbers.size(); ++c)
    numbers[c] = static_cast<float>(static_cast<double>(numbers[c]) + bias.sign * amounts[c]);
  const std::string name = old != nullptr ? old->name : bias.node->input(1)->name + "_bias";
  graph.set_input(bias.node, bias.input, graph.add_constant(name, Tensor::of(Shape{bias.channels}, numbers)));
}

/// A layer that reads the value and can take W c up.
struct Taker {
  Node* layer;
  Bias bias;
};

bool has_padding(const Node& conv) {
  const auto pads = conv.ints_attr("pads");
  const std::string automatic = conv.string_attr("auto_pad", "NOTSET");
  return (automatic != "NOTSET" && automatic != "VALID") ||
         std::any_of(pads.begin(), pads.end(), [](int64_t p) { return p != 0; });
}

std::optional<Taker> taker_of(const Graph& graph, const ir::Use& use) {
  Node* node = use.node;
  if (use.index != 0 || !has_weight_view(*node) || !is_f32_constant(node->input(1))) return std::nullopt;
  if (node->op() == Op::MatMul) {
    if (node->input(1)->constant().rank() != 2) return std::nullopt;
    const auto bias = added_bias(passes::only_reader(graph, node->output(), Op::Add));
    return bias && bias->channels == node->input(1)->constant().dim(1) ? std::optional(Taker{node, *bias})
                                                                       : std::nullopt;
  }
  if (node->op() == Op::Conv && has_padding(*node)) return std::nullopt;
  const auto bias = layer_bias(node);
  return bias ? std::optional(Taker{node, *bias}) : std::nullopt;
}

/// Everything between a producer and its takers.
struct Path {
  const Value* before = nullptr;  // what the producer makes
  const Value* last = nullptr;    // what the takers read
  bool floor = false;             // numbers below 0 are cut on the way
  double ceiling = HUGE_VAL;      // and above this
  std::vector<Taker> takers;
};

enum class Passing : uint8_t { no, as_it_is, above_zero };

/// Does  f(x - c) = f(x) - c  hold?
Passing passing(const Node& node) {
  switch (node.op()) {
    case Op::Identity:
    case Op::GlobalAveragePool:
    case Op::GlobalMaxPool:
      return Passing::as_it_is;
    case Op::MaxPool:
      return node.outputs().size() == 1 ? Passing::as_it_is : Passing::no;
    case Op::AveragePool:
      return has_padding(node) ? Passing::no : Passing::as_it_is;
    case Op::Flatten: {  // [N,C,1,1] to [N,C]
      const auto& d = node.input(0)->type.dims;
      const bool pixels = node.input(0)->type.ranked && d.size() == 4 && d[2].value == 1 && d[3].value == 1;
      return pixels && node.int_attr("axis", 1) == 1 ? Passing::as_it_is : Passing::no;
    }
    case Op::Relu:
      return Passing::above_zero;
    case Op::Clip:
      return passes::scalar_constant(node.input(1)) == 0.0 &&
                     (node.input(2) == nullptr || passes::scalar_constant(node.input(2)))
                 ? Passing::above_zero
                 : Passing::no;
    default:
      return Passing::no;
  }
}

std::optional<Path> path_from(const Graph& graph, const Value* value) {
  Path path{value, value, false, HUGE_VAL, {}};
  while (true) {
    if (graph.is_graph_output(path.last) || path.last->uses().empty()) return std::nullopt;
    for (const ir::Use& use : path.last->uses())
      if (auto taker = taker_of(graph, use)) path.takers.push_back(*taker);
    if (path.takers.size() == path.last->uses().size()) return path;
    if (!path.takers.empty() || path.last->uses().size() != 1) return std::nullopt;
    const Node* next = path.last->uses()[0].node;
    const Passing how = passing(*next);
    if (how == Passing::no) return std::nullopt;
    path.floor = path.floor || how == Passing::above_zero;
    if (next->op() == Op::Clip && next->input(2) != nullptr)
      path.ceiling = std::min(path.ceiling, *passes::scalar_constant(next->input(2)));
    path.last = next->output();
  }
}

/// Width of the range that holds every channel, less its shift, and 0.
double width(const calib::ValueProfile& seen, const std::vector<double>& shift) {
  double low = 0, high = 0;
  for (size_t c = 0; c < shift.size(); ++c) {
    low = std::min(low, static_cast<double>(seen.channel_min[c]) - shift[c]);
    high = std::max(high, static_cast<double>(seen.channel_max[c]) - shift[c]);
  }
  return high - low;
}

std::vector<double> shifts_of(const Path& path, const calib::ValueProfile& before,
                              const calib::ValueProfile& last, double margin) {
  std::vector<double> shift;
  for (size_t c = 0; c < before.channel_min.size(); ++c) {
    const double middle =
        (static_cast<double>(last.channel_min[c]) + static_cast<double>(last.channel_max[c])) / 2;
    const auto low = static_cast<double>(before.channel_min[c]),
               high = static_cast<double>(before.channel_max[c]);
    const double least = high > path.ceiling ? 0 : std::max(0.0, low - margin * (high - low));
    shift.push_back(path.floor ? least : middle);
  }
  return shift;
}

/// W c, per result channel: every position of a window adds its part.
std::vector<double> taken(const Taker& taker, const std::vector<double>& shift) {
  const WeightView w = weight_view(*taker.layer);
  const double alpha =
      taker.layer->op() == Op::Gemm ? static_cast<double>(taker.layer->float_attr("alpha", 1.0F)) : 1.0;
  std::vector<double> amounts(static_cast<size_t>(w.outputs), 0);
  for (int64_t o = 0; o < w.outputs; ++o)
    for (int64_t i = 0; i < w.inputs; ++i)
      for (int64_t p = 0; p < w.positions; ++p)
        amounts[static_cast<size_t>(o)] += alpha * static_cast<double>(w.at(o, i, p)) *
                                           shift[static_cast<size_t>(w.group_of(o) * w.inputs + i)];
  return amounts;
}

std::string name_of(const Node& node) { return node.name.empty() ? node.output()->name : node.name; }

std::optional<AbsorbedValue> absorb(Graph& graph, const Bias& bias, const calib::Profile& profile,
                                    const AbsorbOptions& options) {
  const auto path = path_from(graph, bias.node->output());
  if (!path) return std::nullopt;
  for (const Taker& taker : path->takers)
    if (weight_view(*taker.layer).input_channels() != bias.channels) return std::nullopt;
  const int64_t last_axis =
      path->last->type.rank() == path->before->type.rank() ? bias.axis() : 1;  // flattened
  const calib::ValueProfile *before = channel_profile(profile, path->before, bias.axis(), bias.channels),
                            *last = channel_profile(profile, path->last, last_axis, bias.channels);
  if (before == nullptr || last == nullptr) return std::nullopt;
  const std::vector<double> shift = shifts_of(*path, *before, *last, options.margin);
  const double was = width(*last, std::vector<double>(shift.size(), 0.0)), becomes = width(*last, shift);
  if (!(becomes < (1 - options.least_gain) * was)) return std::nullopt;
  std::vector<double> lowered = shift;
  for (double& c : lowered) c = -c;
  add_to(graph, bias, lowered);
  AbsorbedValue done{name_of(*bias.node), {}, 0, was, becomes};
  done.channels = std::count_if(shift.begin(), shift.end(), [](double c) { return c != 0; });
  for (const Taker& taker : path->takers) {
    add_to(graph, taker.bias, taken(taker, shift));
    done.consumers.push_back(name_of(*taker.layer));
  }
  return done;
}

}  // namespace

Result<AbsorbReport> absorb_bias(Graph& graph, const calib::Profile& profile, const AbsorbOptions& options) {
  AbsorbReport report;
  for (Node* node : graph.nodes()) {
    if (node->outputs().empty()) continue;
    std::optional<Bias> bias;
    if (has_weight_view(*node) && node->op() != Op::MatMul)
      bias = layer_bias(node);
    else
      bias = node->op() == Op::LayerNormalization ? norm_bias(node) : added_bias(node);
    if (!bias) continue;
    if (auto done = absorb(graph, *bias, profile, options)) report.values.push_back(std::move(*done));
  }
  if (report.values.empty()) return report;
  double most = 0;
  for (const AbsorbedValue& v : report.values) most = std::max(most, 1 - v.range_after / v.range_before);
  report.note = fmt::format(
      "constants of channels of {} values moved into the biases behind; the range of one shrank by {:.0f} %",
      report.values.size(), 100 * most);
  return report;
}

}  // namespace narrow::quant
