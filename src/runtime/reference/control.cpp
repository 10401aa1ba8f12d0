// If, Loop and Scan: bodies run as graphs of their own, node by node.
#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "runtime/reference/functions.h"
#include "runtime/reference/subgraph.h"

namespace narrow::runtime::reference {
namespace {

Result<bool> truth(const ir::Node& node, const Tensor& tensor) {
  if (tensor.elements() != 1 || tensor.dtype() != DType::boolean)
    return invalid(node, "one bool", to_string(tensor.dtype()) + to_string(tensor.shape()));
  return to_ints(tensor)[0] != 0;
}

/// What every call of a body gets behind its own inputs.
struct Captured {
  size_t own = 0;  // inputs of the node before them
  std::vector<Tensor> tensors;
};

Result<Captured> captured(const ir::Node& node, Inputs inputs) {
  const int64_t count = node.int_attr("captures", 0);
  if (count < 0 || count > std::ssize(inputs)) return invalid(node, "captured inputs", std::to_string(count));
  Captured c{.own = inputs.size() - static_cast<size_t>(count), .tensors = {}};
  for (size_t i = c.own; i < inputs.size(); ++i) {
    if (inputs[i] == nullptr) return invalid(node, "captured inputs", "an absent one");
    c.tensors.push_back(*inputs[i]);
  }
  return c;
}

/// The scalar as the loop's body wants it: a scalar, or one element of rank 1.
Tensor as_counter(const Tensor& scalar, const ir::Graph& body, size_t input) {
  const bool vector = input < body.inputs().size() && body.inputs()[input]->type.rank() == 1;
  return vector ? scalar.reshaped({1}) : scalar;
}

/// Tensors of one type and shape -> one with a new axis. At least one.
Result<Tensor> stack(const ir::Node& node, const std::vector<Tensor>& parts, int64_t axis) {
  Shape shape = parts[0].shape();
  NARROW_TRY(axis, normal_axis(node, axis, std::ssize(shape) + 1));
  shape.insert(shape.begin() + axis, std::ssize(parts));
  NARROW_TRY(Tensor y, make_tensor(node, parts[0].dtype(), shape));
  const AxisView v = view_axis(shape, axis);
  const auto bytes = static_cast<size_t>(v.inner * bytes_of(y.dtype()));
  auto* to = static_cast<std::byte*>(y.mutable_raw());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].shape() != parts[0].shape() || parts[i].dtype() != parts[0].dtype())
      return invalid(node, "the same type from every step", to_string(parts[i].shape()));
    const auto* from = static_cast<const std::byte*>(parts[i].raw());
    for (int64_t o = 0; bytes > 0 && o < v.outer; ++o)
      std::memcpy(to + (static_cast<size_t>(o) * parts.size() + i) * bytes,
                  from + static_cast<size_t>(o) * bytes, bytes);
  }
  return y;
}

/// Slice `index` along `axis`, without that axis.
Result<Tensor> slice(const ir::Node& node, const Tensor& x, int64_t axis, int64_t index) {
  const AxisView v = view_axis(x.shape(), axis);
  Shape shape = x.shape();
  shape.erase(shape.begin() + axis);
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  const auto bytes = static_cast<size_t>(v.inner * bytes_of(x.dtype()));
  for (int64_t o = 0; bytes > 0 && o < v.outer; ++o)
    std::memcpy(static_cast<std::byte*>(y.mutable_raw()) + static_cast<size_t>(o) * bytes,
                static_cast<const std::byte*>(x.raw()) + static_cast<size_t>(o * v.size + index) * bytes,
                bytes);
  return y;
}

/// The type that no step told: scan outputs of a loop without steps.
Result<Tensor> no_steps(const ir::Node& node, const ir::Graph& body, size_t output) {
  const ir::TensorType& type = body.outputs()[output].value->type;
  Shape shape = {0};
  if (type.ranked)
    for (const ir::Dim& d : type.dims) shape.push_back(d.known() ? d.value : 0);
  return make_tensor(node, type.dtype, shape);
}

}  // namespace

Outputs eval_if(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const bool condition, truth(node, *inputs[0]));
  NARROW_TRY(const ir::Graph* body, subgraph(node, condition ? "then_branch" : "else_branch"));
  NARROW_TRY(const Captured captures, captured(node, inputs));
  return run_subgraph(node, *body, captures.tensors);
}

Outputs eval_loop(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const ir::Graph* body, subgraph(node, "body"));
  NARROW_TRY(const Captured captures, captured(node, inputs));
  if (captures.own < 2) return invalid(node, "inputs M and cond, which may be absent", "fewer");
  int64_t most = std::numeric_limits<int64_t>::max();
  if (inputs[0] != nullptr) {
    NARROW_TRY(most, int_scalar(node, *inputs[0]));
  }
  bool go = true;
  if (inputs[1] != nullptr) {
    NARROW_TRY(go, truth(node, *inputs[1]));
  }
  std::vector<Tensor> state;
  for (size_t i = 2; i < captures.own; ++i) {
    if (inputs[i] == nullptr) return invalid(node, "carried values", "an absent one");
    state.push_back(*inputs[i]);
  }
  std::vector<std::vector<Tensor>> scanned(body->outputs().size() -
                                           std::min(body->outputs().size(), 1 + state.size()));
  for (int64_t i = 0; go && i < most; ++i) {
    std::vector<Tensor> call = {as_counter(Tensor::scalar(i), *body, 0),
                                as_counter(Tensor::scalar(go), *body, 1)};
    call.insert(call.end(), state.begin(), state.end());
    call.insert(call.end(), captures.tensors.begin(), captures.tensors.end());
    NARROW_TRY(std::vector<Tensor> results, run_subgraph(node, *body, call));
    if (results.size() != 1 + state.size() + scanned.size())
      return invalid(node, "a condition and the carried values from the body", "fewer");
    NARROW_TRY(go, truth(node, results[0]));
    for (size_t s = 0; s < state.size(); ++s) state[s] = std::move(results[1 + s]);
    for (size_t s = 0; s < scanned.size(); ++s)
      scanned[s].push_back(std::move(results[1 + state.size() + s]));
  }
  const size_t carried = state.size();
  for (size_t s = 0; s < scanned.size(); ++s) {
    NARROW_TRY(Tensor all,
               scanned[s].empty() ? no_steps(node, *body, 1 + carried + s) : stack(node, scanned[s], 0));
    state.push_back(std::move(all));
  }
  return state;
}

Outputs eval_scan(const ir::Node& node, Inputs inputs) {
  NARROW_TRY(const ir::Graph* body, subgraph(node, "body"));
  NARROW_TRY(const Captured captures, captured(node, inputs));
  const int64_t scans = node.int_attr("num_scan_inputs", 0),
                states = static_cast<int64_t>(captures.own) - scans;
  for (size_t i = 0; i < captures.own; ++i)
    if (inputs[i] == nullptr) return invalid(node, "every input", "an absent one");
  if (scans < 1 || states < 0 || states > std::ssize(body->outputs()))
    return invalid(node, "num_scan_inputs of the inputs", std::to_string(scans));
  const auto at = [](const std::vector<int64_t>& list, int64_t i) {
    return i < std::ssize(list) ? list[static_cast<size_t>(i)] : 0;
  };
  const std::vector<int64_t> in_axes = node.ints_attr("scan_input_axes"),
                             out_axes = node.ints_attr("scan_output_axes"),
                             in_way = node.ints_attr("scan_input_directions"),
                             out_way = node.ints_attr("scan_output_directions");
  std::vector<Tensor> state;
  for (int64_t i = 0; i < states; ++i) state.push_back(*inputs[static_cast<size_t>(i)]);
  std::vector<int64_t> axes;
  int64_t steps = -1;
  for (int64_t i = 0; i < scans; ++i) {
    const Tensor& x = *inputs[static_cast<size_t>(states + i)];
    NARROW_TRY(const int64_t axis, normal_axis(node, at(in_axes, i), x.rank()));
    axes.push_back(axis);
    if (steps >= 0 && x.dim(axis) != steps)
      return invalid(node, fmt::format("{} steps in every scan input", steps), to_string(x.shape()));
    steps = x.dim(axis);
  }
  std::vector<std::vector<Tensor>> scanned(body->outputs().size() - static_cast<size_t>(states));
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<Tensor> call = state;
    for (int64_t i = 0; i < scans; ++i) {
      NARROW_TRY(Tensor x, slice(node, *inputs[static_cast<size_t>(states + i)], axes[static_cast<size_t>(i)],
                                 at(in_way, i) != 0 ? steps - 1 - step : step));
      call.push_back(std::move(x));
    }
    call.insert(call.end(), captures.tensors.begin(), captures.tensors.end());
    NARROW_TRY(std::vector<Tensor> results, run_subgraph(node, *body, call));
    for (size_t s = 0; s < state.size(); ++s) state[s] = std::move(results[s]);
    for (size_t s = 0; s < scanned.size(); ++s) {
      auto& list = scanned[s];
      list.insert(at(out_way, static_cast<int64_t>(s)) != 0 ? list.begin() : list.end(),
                  std::move(results[static_cast<size_t>(states) + s]));
    }
  }
  for (size_t s = 0; s < scanned.size(); ++s) {
    NARROW_TRY(Tensor all, scanned[s].empty()
                               ? no_steps(node, *body, static_cast<size_t>(states) + s)
                               : stack(node, scanned[s], at(out_axes, static_cast<int64_t>(s))));
    state.push_back(std::move(all));
  }
  return state;
}

}  // namespace narrow::runtime::reference
