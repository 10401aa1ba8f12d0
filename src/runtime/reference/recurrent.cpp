// RNN, GRU and LSTM: one direction of one sequence at a time, in double.
//   RNN   h = f(W x + Wb + R h + Rb)
//   GRU   z, r = f(..), g = g(W x + Wb + R (r * h) + Rb), h = (1 - z) * g + z * h
//   LSTM  i, o, f, g as above with peepholes P * c;  c = f * c + i * g, h = o * h(c)
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

using Row = std::vector<double>;

struct Activation {
  std::string name;
  double alpha, beta;

  double operator()(double x) const {
    if (name == "Sigmoid") return 1 / (1 + std::exp(-x));
    if (name == "Tanh") return std::tanh(x);
    if (name == "Relu") return std::max(x, 0.0);
    if (name == "LeakyRelu") return x < 0 ? alpha * x : x;
    if (name == "ThresholdedRelu") return x > alpha ? x : 0;
    if (name == "HardSigmoid") return std::clamp(alpha * x + beta, 0.0, 1.0);
    if (name == "ScaledTanh") return alpha * std::tanh(beta * x);
    if (name == "Elu") return x < 0 ? alpha * (std::exp(x) - 1) : x;
    if (name == "Softsign") return x / (1 + std::abs(x));
    if (name == "Softplus") return std::log1p(std::exp(x));
    return alpha * x + beta;  // Affine
  }
};

/// Defaults of ONNX for activation_alpha and activation_beta.
Result<Activation> activation(const ir::Node& node, const std::string& name) {
  struct Known {
    const char* name;
    double alpha, beta;
  };
  constexpr Known kKnown[] = {{"Sigmoid", 0, 0},
                              {"Tanh", 0, 0},
                              {"Relu", 0, 0},
                              {"LeakyRelu", 0.01, 0},
                              {"ThresholdedRelu", 1, 0},
                              {"HardSigmoid", 0.2, 0.5},
                              {"ScaledTanh", 1, 1},
                              {"Elu", 1, 0},
                              {"Softsign", 0, 0},
                              {"Softplus", 0, 0},
                              {"Affine", 1, 0}};
  for (const Known& known : kKnown)
    if (name == known.name) return Activation{name, known.alpha, known.beta};
  return unsupported(node, "an activation of ONNX", name);
}

template <class T>
const T* list_attr(const ir::Node& node, const char* name) {
  const auto it = node.attrs.find(name);
  return it == node.attrs.end() ? nullptr : std::get_if<T>(&it->second);
}

/// `count` per direction; alphas and betas belong to the listed activations in order.
Result<std::vector<Activation>> activations(const ir::Node& node, const std::vector<std::string>& defaults,
                                            size_t directions) {
  std::vector<std::string> names;
  for (size_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  if (const auto* given = list_attr<std::vector<std::string>>(node, "activations")) {
    if (given->size() < names.size())
      return invalid(node, fmt::format("{} activations", names.size()), std::to_string(given->size()));
    names.assign(given->begin(), given->begin() + static_cast<std::ptrdiff_t>(names.size()));
  }
  const auto* alpha = list_attr<std::vector<float>>(node, "activation_alpha");
  const auto* beta = list_attr<std::vector<float>>(node, "activation_beta");
  std::vector<Activation> list;
  for (size_t i = 0; i < names.size(); ++i) {
    NARROW_TRY(Activation f, activation(node, names[i]));
    if (alpha != nullptr && i < alpha->size()) f.alpha = static_cast<double>((*alpha)[i]);
    if (beta != nullptr && i < beta->size()) f.beta = static_cast<double>((*beta)[i]);
    list.push_back(std::move(f));
  }
  return list;
}

/// Everything of one node, widened; sequences as [steps, batch, input].
struct Recurrence {
  int64_t steps = 0, batch = 0, input = 0, hidden = 0, directions = 1, gates = 1;
  Row x, w, r, b, h, c, p;
  std::vector<int64_t> lengths;
  std::vector<Activation> f;
  double clip = 0;
  bool batch_first = false, input_forget = false, linear_before_reset = false;
  std::string direction;
};

/// One direction's weights and the state of one sequence.
struct Cell {
  const Recurrence& all;
  int64_t d;
  Row h, c;

  double bound(double x) const { return all.clip > 0 ? std::clamp(x, -all.clip, all.clip) : x; }
  const Activation& f(size_t i) const {
    return all.f[static_cast<size_t>(d) * (all.f.size() / static_cast<size_t>(all.directions)) + i];
  }
  double bias(int64_t row, bool recurrent) const {
    const int64_t rows = all.gates * all.hidden;
    return all.b.empty() ? 0 : all.b[static_cast<size_t>((2 * d + (recurrent ? 1 : 0)) * rows + row)];
  }
  /// W x + Wb for every gate row.
  Row from_input(const double* x) const {
    Row y(static_cast<size_t>(all.gates * all.hidden));
    for (int64_t row = 0; row < std::ssize(y); ++row) {
      double sum = bias(row, false);
      const double* w = all.w.data() + (d * std::ssize(y) + row) * all.input;
      for (int64_t i = 0; i < all.input; ++i) sum += w[i] * x[i];
      y[static_cast<size_t>(row)] = sum;
    }
    return y;
  }
  /// R state, one row.
  double from_state(int64_t row, const Row& state) const {
    const double* r = all.r.data() + (d * all.gates * all.hidden + row) * all.hidden;
    double sum = 0;
    for (int64_t i = 0; i < all.hidden; ++i) sum += r[i] * state[static_cast<size_t>(i)];
    return sum;
  }
  double peephole(int64_t gate, int64_t i, double cell) const {
    return all.p.empty() ? 0 : all.p[static_cast<size_t>((d * 3 + gate) * all.hidden + i)] * cell;
  }

  void rnn(const Row& x) {
    Row next(h.size());
    for (int64_t i = 0; i < all.hidden; ++i)
      next[static_cast<size_t>(i)] =
          f(0)(bound(x[static_cast<size_t>(i)] + from_state(i, h) + bias(i, true)));
    h = std::move(next);
  }

  void gru(const Row& x) {
    const int64_t n = all.hidden;
    Row z(h.size()), r(h.size()), reset(h.size()), next(h.size());
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      z[at] = f(0)(bound(x[at] + from_state(i, h) + bias(i, true)));
      r[at] = f(0)(bound(x[static_cast<size_t>(n + i)] + from_state(n + i, h) + bias(n + i, true)));
      reset[at] = r[at] * h[at];
    }
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      const int64_t row = 2 * n + i;
      const double state = all.linear_before_reset ? r[at] * (from_state(row, h) + bias(row, true))
                                                   : from_state(row, reset) + bias(row, true);
      next[at] = (1 - z[at]) * f(1)(bound(x[static_cast<size_t>(row)] + state)) + z[at] * h[at];
    }
    h = std::move(next);
  }

  void lstm(const Row& x) {
    const int64_t n = all.hidden;
    Row next(h.size());
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i);
      const auto gate = [&](int64_t g) {
        return x[static_cast<size_t>(g * n + i)] + from_state(g * n + i, h) + bias(g * n + i, true);
      };
      const double in = f(0)(bound(gate(0) + peephole(0, i, c[at])));
      const double forget = all.input_forget ? 1 - in : f(0)(bound(gate(2) + peephole(2, i, c[at])));
      c[at] = forget * c[at] + in * f(1)(bound(gate(3)));
      next[at] = f(0)(bound(gate(1) + peephole(1, i, c[at]))) * f(2)(c[at]);
    }
    h = std::move(next);
  }
};

/// The optional input widened, when it has as many elements as wanted; empty when absent.
Result<Row> optional_row(const ir::Node& node, Inputs inputs, size_t i, int64_t elements) {
  const Tensor* tensor = optional_input(inputs, i);
  if (tensor == nullptr) return Row();
  if (tensor->elements() != elements)
    return invalid(node, fmt::format("input {} of {} elements", i, elements), to_string(tensor->shape()));
  return to_doubles(*tensor);
}

/// [batch, directions, hidden] -> [directions, batch, hidden], or the other way round.
Result<Tensor> swap_first(const ir::Node& node, const Tensor& x, bool swap) {
  if (!swap) return x;
  return permute(node, x, {1, 0, 2});
}

Result<Recurrence> read(const ir::Node& node, Inputs inputs, int64_t gates,
                        const std::vector<std::string>& defaults) {
  Recurrence all;
  all.gates = gates;
  all.batch_first = node.int_attr("layout", 0) != 0;
  all.direction = node.string_attr("direction", "forward");
  all.directions = all.direction == "bidirectional" ? 2 : 1;
  all.clip = static_cast<double>(node.float_attr("clip", 0));
  all.input_forget = node.int_attr("input_forget", 0) != 0;
  all.linear_before_reset = node.int_attr("linear_before_reset", 0) != 0;
  if (inputs[0]->rank() != 3 || inputs[1]->rank() != 3 || inputs[2]->rank() != 3)
    return invalid(node, "X, W and R of rank 3", to_string(inputs[0]->shape()));
  NARROW_TRY(const Tensor x, swap_first(node, *inputs[0], all.batch_first));
  all.steps = x.dim(0), all.batch = x.dim(1), all.input = x.dim(2), all.hidden = inputs[2]->dim(2);
  if (inputs[1]->shape() != Shape{all.directions, gates * all.hidden, all.input} ||
      inputs[2]->shape() != Shape{all.directions, gates * all.hidden, all.hidden})
    return invalid(
        node, fmt::format("W [{}, {} * hidden, {}] and R [.., hidden]", all.directions, gates, all.input),
        to_string(inputs[1]->shape()) + " and " + to_string(inputs[2]->shape()));
  all.x = to_doubles(x), all.w = to_doubles(*inputs[1]), all.r = to_doubles(*inputs[2]);
  const int64_t states = all.directions * all.batch * all.hidden;
  NARROW_TRY(all.b, optional_row(node, inputs, 3, all.directions * 2 * gates * all.hidden));
  NARROW_TRY(all.p, optional_row(node, inputs, 7, all.directions * 3 * all.hidden));
  for (const size_t i : {size_t{5}, size_t{6}}) {
    Row& state = i == 5 ? all.h : all.c;
    NARROW_TRY(state, optional_row(node, inputs, i, states));
    if (!state.empty() && all.batch_first) {
      NARROW_TRY(const Tensor swapped,
                 swap_first(node, inputs[i]->reshaped({all.batch, all.directions, all.hidden}), true));
      state = to_doubles(swapped);
    }
    if (state.empty()) state.assign(static_cast<size_t>(states), 0);
  }
  all.lengths.assign(static_cast<size_t>(all.batch), all.steps);
  if (const Tensor* lengths = optional_input(inputs, 4)) {
    all.lengths = to_ints(*lengths);
    if (std::ssize(all.lengths) != all.batch ||
        std::any_of(all.lengths.begin(), all.lengths.end(),
                    [&](int64_t n) { return n < 0 || n > all.steps; }))
      return invalid(node, fmt::format("{} sequence_lens in [0, {}]", all.batch, all.steps),
                     to_string(lengths->shape()));
  }
  NARROW_TRY(all.f, activations(node, defaults, static_cast<size_t>(all.directions)));
  return all;
}

/// Steps beyond a sequence's length give 0 and leave its state as it is.
template <class Step>
Outputs recur(const ir::Node& node, const Recurrence& all, DType type, Step step) {
  const Shape states = {all.directions, all.batch, all.hidden};
  NARROW_TRY(Tensor y, make_tensor(node, DType::f64, {all.steps, all.directions, all.batch, all.hidden}));
  NARROW_TRY(Tensor last_h, make_tensor(node, DType::f64, states));
  NARROW_TRY(Tensor last_c, make_tensor(node, DType::f64, states));
  if (y.bytes() > 0) std::memset(y.mutable_raw(), 0, static_cast<size_t>(y.bytes()));
  for (int64_t line = 0; line < all.directions * all.batch; ++line) {
    const int64_t d = line / all.batch, b = line % all.batch, n = all.lengths[static_cast<size_t>(b)];
    const auto part = [&](const Row& from) {
      return Row(from.begin() + line * all.hidden, from.begin() + (line + 1) * all.hidden);
    };
    Cell cell{all, d, part(all.h), part(all.c)};
    const bool reverse = all.direction == "reverse" || d == 1;
    for (int64_t s = 0; s < n; ++s) {
      const int64_t t = reverse ? n - 1 - s : s;
      step(cell, cell.from_input(all.x.data() + (t * all.batch + b) * all.input));
      std::copy(cell.h.begin(), cell.h.end(),
                y.mutable_data<double>().begin() + ((t * all.directions + d) * all.batch + b) * all.hidden);
    }
    std::copy(cell.h.begin(), cell.h.end(), last_h.mutable_data<double>().begin() + line * all.hidden);
    std::copy(cell.c.begin(), cell.c.end(), last_c.mutable_data<double>().begin() + line * all.hidden);
  }
  if (all.batch_first) {
    NARROW_TRY(y, permute(node, y, {2, 0, 1, 3}));
  }
  NARROW_TRY(last_h, swap_first(node, last_h, all.batch_first));
  NARROW_TRY(last_c, swap_first(node, last_c, all.batch_first));
  return std::vector<Tensor>{cast(y, type), cast(last_h, type), cast(last_c, type)};
}

}  // namespace

Outputs eval_rnn(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Recurrence all, read(node, inputs, 1, {"Tanh"}));
  return recur(node, all, inputs[0]->dtype(), [](Cell& cell, const Row& x) { cell.rnn(x); });
}

Outputs eval_gru(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Recurrence all, read(node, inputs, 3, {"Sigmoid", "Tanh"}));
  return recur(node, all, inputs[0]->dtype(), [](Cell& cell, const Row& x) { cell.gru(x); });
}

Outputs eval_lstm(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const Recurrence all, read(node, inputs, 4, {"Sigmoid", "Tanh", "Tanh"}));
  return recur(node, all, inputs[0]->dtype(), [](Cell& cell, const Row& x) { cell.lstm(x); });
}

}  // namespace narrow::runtime::reference
