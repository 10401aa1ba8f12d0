// LinearAttention and CausalConvWithState: layers that hand a state of fixed size from step to step.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// Extents of one node: q_heads share the states of kv_heads in groups.
struct Extents {
  int64_t batch, steps, q_heads, kv_heads, key, value;
};

Result<Extents> extents(const ir::Node& node, Inputs inputs) {
  const Tensor &q = *inputs[0], &k = *inputs[1], &v = *inputs[2];
  const int64_t heads = node.int_attr("q_num_heads", 0), kv = node.int_attr("kv_num_heads", 0);
  if (heads < 1 || kv < 1 || heads % kv != 0 || q.rank() != 3 || k.rank() != 3 || v.rank() != 3 ||
      q.dim(2) % heads != 0 || v.dim(2) % kv != 0)
    return invalid(node, "query, key, value [B, T, heads * width]", to_string(q.shape()));
  const Extents e{q.dim(0), q.dim(1), heads, kv, q.dim(2) / heads, v.dim(2) / kv};
  if (k.shape() != Shape{e.batch, e.steps, kv * e.key} || v.dim(0) != e.batch || v.dim(1) != e.steps)
    return invalid(node, fmt::format("key [B, T, {}] and value like it", kv * e.key), to_string(k.shape()));
  return e;
}

/// decay [B,T,kv] or [B,T,kv*key], beta [B,T,kv] or [B,T,1]; empty when absent.
Result<std::vector<double>> gate(const ir::Node& node, const Tensor* t, const Extents& e, bool wanted,
                                 std::array<int64_t, 2> widths) {
  if ((t != nullptr) != wanted)
    return invalid(node, "decay for gated, beta for delta rules, and only there", wanted ? "none" : "one");
  if (t == nullptr) return std::vector<double>();
  if (t->rank() != 3 || t->dim(0) != e.batch || t->dim(1) != e.steps ||
      (t->dim(2) != widths[0] && t->dim(2) != widths[1]))
    return invalid(node, fmt::format("[B, T, {} or {}]", widths[0], widths[1]), to_string(t->shape()));
  return to_doubles(*t);
}

}  // namespace

/// Per step: S *= exp(decay); v' = beta * (v - S' k) for delta rules, else v; S += k x v'; output = scale *
/// S' q.
Outputs eval_linear_attention(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Extents e, extents(node, inputs));
  const std::string rule = node.string_attr("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta",
             delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear") return unsupported(node, "an update_rule of ONNX", rule);
  const Tensor* decays = optional_input(inputs, 4);
  const Tensor* betas = optional_input(inputs, 5);
  NARROW_TRY(const auto decay, gate(node, decays, e, gated, {e.kv_heads, e.kv_heads * e.key}));
  NARROW_TRY(const auto beta, gate(node, betas, e, delta, {e.kv_heads, 1}));
  const Shape state_shape = {e.batch, e.kv_heads, e.key, e.value};
  const Tensor* past = optional_input(inputs, 3);
  if (past != nullptr && past->shape() != state_shape)
    return invalid(node, "past_state " + to_string(state_shape), to_string(past->shape()));
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {e.batch, e.steps, e.q_heads * e.value}));
  NARROW_TRY(const Tensor room, make_tensor(node, DType::f64, state_shape));
  std::vector<double> state =
      past != nullptr ? to_doubles(*past) : std::vector<double>(static_cast<size_t>(room.elements()), 0);
  const std::vector<double> q = to_doubles(*inputs[0]), k = to_doubles(*inputs[1]),
                            v = to_doubles(*inputs[2]);
  const double given = static_cast<double>(node.float_attr("scale", 0));
  const double scale = given != 0 ? given : 1 / std::sqrt(static_cast<double>(e.key));
  const int64_t per_head_decay = decays != nullptr ? decays->dim(2) / e.kv_heads : 1,
                beta_width = betas != nullptr ? betas->dim(2) : 1, group = e.q_heads / e.kv_heads;
  std::vector<double> update(static_cast<size_t>(e.value));
  for (int64_t line = 0; line < e.batch * e.kv_heads; ++line) {
    const int64_t b = line / e.kv_heads, head = line % e.kv_heads;
    double* s = state.data() + line * e.key * e.value;
    for (int64_t t = 0; t < e.steps; ++t) {
      const int64_t at = b * e.steps + t;
      const double* key = k.data() + (at * e.kv_heads + head) * e.key;
      const double* value = v.data() + (at * e.kv_heads + head) * e.value;
      for (int64_t i = 0; gated && i < e.key; ++i) {
        const double factor = std::exp(decay[static_cast<size_t>((at * e.kv_heads + head) * per_head_decay +
                                                                 (per_head_decay > 1 ? i : 0))]);
        for (int64_t j = 0; j < e.value; ++j) s[i * e.value + j] *= factor;
      }
      for (int64_t j = 0; j < e.value; ++j) {
        double known = 0;
        for (int64_t i = 0; delta && i < e.key; ++i) known += s[i * e.value + j] * key[i];
        const double rate =
            delta ? beta[static_cast<size_t>(at * beta_width + (beta_width > 1 ? head : 0))] : 1;
        update[static_cast<size_t>(j)] = rate * (value[j] - known);
      }
      for (int64_t i = 0; i < e.key; ++i)
        for (int64_t j = 0; j < e.value; ++j) s[i * e.value + j] += key[i] * update[static_cast<size_t>(j)];
      for (int64_t h = head * group; h < (head + 1) * group; ++h)
        for (int64_t j = 0; j < e.value; ++j) {
          double sum = 0;
          for (int64_t i = 0; i < e.key; ++i)
            sum += q[static_cast<size_t>((at * e.q_heads + h) * e.key + i)] * s[i * e.value + j];
          y.mutable_data<double>()[static_cast<size_t>((at * e.q_heads + h) * e.value + j)] = scale * sum;
        }
    }
  }
  const DType type = inputs[0]->dtype();
  return std::vector<Tensor>{cast(y, type),
                             cast(Tensor::of(state_shape, state), past != nullptr ? past->dtype() : type)};
}

/// y[t] = b + sum over k of w[k] * x[t - (K - 1) + k], x before the start from past_state (0 when absent);
/// then SiLU.
Outputs eval_causal_conv(const ir::Node& node, Inputs inputs) {
  const Tensor &x = *inputs[0], &w = *inputs[1];
  const Tensor *bias = optional_input(inputs, 2), *past = optional_input(inputs, 3);
  if (x.rank() != 3 || w.rank() != 3 || w.dim(0) != x.dim(1) || w.dim(1) != 1 || w.dim(2) < 1)
    return invalid(node, "input [B,C,L] and weight [C,1,k]",
                   to_string(x.shape()) + " and " + to_string(w.shape()));
  const int64_t lines = x.dim(0) * x.dim(1), length = x.dim(2), taps = w.dim(2), channels = x.dim(1);
  const std::string activation = node.string_attr("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish")
    return unsupported(node, "activation none, silu or swish", activation);
  const Shape state_shape = {x.dim(0), channels, taps - 1};
  if ((past != nullptr && past->shape() != state_shape) || (bias != nullptr && bias->elements() != channels))
    return invalid(node, fmt::format("past_state {} and {} biases", to_string(state_shape), channels),
                   "others");
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, x.shape()));
  NARROW_TRY(Tensor state, make_tensor(node, DType::f64, state_shape));
  const std::vector<double> src = to_doubles(x), weight = to_doubles(w),
                            before = past != nullptr
                                         ? to_doubles(*past)
                                         : std::vector<double>(static_cast<size_t>(state.elements()), 0),
                            add = bias != nullptr ? to_doubles(*bias)
                                                  : std::vector<double>(static_cast<size_t>(channels), 0);
  for (int64_t line = 0; line < lines; ++line) {
    const auto at = [&](int64_t t) {  // t counts from the start of the state
      return t < taps - 1 ? before[static_cast<size_t>(line * (taps - 1) + t)]
                          : src[static_cast<size_t>(line * length + t - (taps - 1))];
    };
    for (int64_t t = 0; t < length; ++t) {
      double sum = add[static_cast<size_t>(line % channels)];
      for (int64_t k = 0; k < taps; ++k)
        sum += weight[static_cast<size_t>(line % channels * taps + k)] * at(t + k);
      y.mutable_data<double>()[static_cast<size_t>(line * length + t)] =
          activation == "none" ? sum : sum / (1 + std::exp(-sum));
    }
    for (int64_t k = 0; k < taps - 1; ++k)
      state.mutable_data<double>()[static_cast<size_t>(line * (taps - 1) + k)] = at(length + k);
  }
  return std::vector<Tensor>{cast(y, x.dtype()), cast(state, x.dtype())};
}

}  // namespace narrow::runtime::reference
