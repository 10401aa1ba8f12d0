// Reshape(x[N,C,H,W] -> [N,G,...]); InstanceNormalization(scale[G], bias[G]); Reshape(-> [N,C,H,W]);
// * gamma[C]; + beta[C]     ->   GroupNormalization(x, scale * gamma, bias * gamma + beta) {num_groups = G}
//
// InstanceNormalization(x[N,C,H,W]); * gamma[C]; + beta[C]   ->   the same with G = C
//
// What exporters make of a group normalisation. The product and the sum may be absent. Left alone when an
// intermediate value has a reader outside, or the factors are not constants along the channels.
#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

/// What is normalised, and the value that the node (and the Reshape behind it) makes of it.
struct Core {
  Value *x, *result;
  int64_t groups;
};

bool is_image_of_known_channels(const Value* value) {
  return value->type.ranked && value->type.rank() == 4 && known_dim(value, 1) > 0 &&
         is_float(value->type.dtype) && value->type.dtype != DType::f64;
}

/// The node between two Reshapes: of whole groups of channels, and back.
std::optional<Core> match_reshaped(const Graph& graph, Node* norm) {
  const Value* parts = norm->input(0);
  const Node* split = producer_of(parts, Op::Reshape);
  const Node* join = only_reader(graph, norm->output(), Op::Reshape);
  if (split == nullptr || join == nullptr || join->input(0) != norm->output()) return {};
  Value *x = split->input(0), *result = join->output();
  if (!is_image_of_known_channels(x) || !same_shape(x, result)) return {};
  const int64_t groups = known_dim(parts, 1);
  if (groups < 1 || known_dim(x, 1) % groups != 0 || parts->type.dims[0] != x->type.dims[0]) return {};
  return Core{x, result, groups};
}

std::optional<Core> match_core(const Graph& graph, Node* norm) {
  Value* x = norm->input(0);
  if (is_image_of_known_channels(x)) {
    if (auto core = match_reshaped(graph, norm)) return core;  // an image of groups
    return Core{x, norm->output(), known_dim(x, 1)};
  }
  return match_reshaped(graph, norm);
}

/// The Mul or Add of constants per channel that alone reads `value`; what it makes, and the constants.
struct Applied {
  Value* result;
  std::vector<float> factors;
};
std::optional<Applied> applied_per_channel(const Graph& graph, const Value* value, Op op) {
  const Node* node = only_reader(graph, value, op);
  if (node == nullptr || !same_shape(value, node->output())) return {};
  auto factors = per_channel(other_input(node, value), 4, 1, known_dim(value, 1));
  return factors ? std::optional(Applied{node->output(), std::move(*factors)}) : std::nullopt;
}

/// [G] -> [C], each number repeated for the channels of its group.
std::vector<float> repeated(const std::vector<float>& values, int64_t channels) {
  const size_t width = static_cast<size_t>(channels) / values.size();
  std::vector<float> all;
  for (const float value : values) all.insert(all.end(), width, value);
  return all;
}

bool rewrite(Graph& graph, Node* norm) {
  const auto core = match_core(graph, norm);
  const Value *scale = norm->input(1), *bias = norm->input(2);
  if (!core) return false;
  const int64_t channels = known_dim(core->x, 1);
  Attributes attrs{{"epsilon", norm->float_attr("epsilon", 1e-5F)}, {"num_groups", core->groups}};
  const auto scales = per_channel(scale, 1, 0, core->groups), biases = per_channel(bias, 1, 0, core->groups);
  if (!scales || !biases) {
    if (core->result != norm->output()) return false;  // computed numbers, for each group
    replace_with(graph, core->result, Op::GroupNormalization, norm->inputs(),
                 stored_as(core->result, core->x, std::move(attrs)), norm->name);
    return true;
  }
  std::vector<float> gamma = repeated(*scales, channels), beta = repeated(*biases, channels);
  Value* result = core->result;
  if (const auto product = applied_per_channel(graph, result, Op::Mul)) {
    for (size_t c = 0; c < gamma.size(); ++c) gamma[c] *= product->factors[c], beta[c] *= product->factors[c];
    result = product->result;
  }
  if (const auto sum = applied_per_channel(graph, result, Op::Add)) {
    for (size_t c = 0; c < beta.size(); ++c) beta[c] += sum->factors[c];
    result = sum->result;
  }
  Value* factors = add_floats(graph, result->name + "_scale", Shape{channels}, gamma);
  Value* shifts = add_floats(graph, result->name + "_bias", Shape{channels}, beta);
  replace_with(graph, result, Op::GroupNormalization, {core->x, factors, shifts},
               stored_as(result, core->x, std::move(attrs)), norm->name);
  return true;
}

}  // namespace

Result<int64_t> recognise_groupnorm(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t found = 0;
  for (Node* node : graph.nodes())
    if (!graph.is_dead(node) && node->op() == Op::InstanceNormalization &&
        node->int_attr("channels_last", 0) == 0 && rewrite(graph, node))
      ++found;
  return found;
}

}  // namespace narrow::passes
