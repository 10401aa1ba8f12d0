#include "runtime/bands.h"

#include <algorithm>

#include "base/aligned.h"
#include "runtime/kernel.h"

namespace narrow::runtime {
namespace {

/// Float convolutions may work on patches of two or four rows (Winograd), whose place decides how sums round.
constexpr int64_t kPatchRows = 4;

/// How output rows depend on rows of input 0.
struct Window {
  int64_t size = 1, stride = 1, pad_top = 0, pad_bottom = 0;

  int64_t begin(int64_t out_first) const { return out_first * stride - pad_top; }
  int64_t end(int64_t out_end) const { return (out_end - 1) * stride - pad_top + size; }
};

bool has_window(const ir::Node& node) {
  return node.op() == ir::Op::FusedConv || node.op() == ir::Op::MaxPool || node.op() == ir::Op::AveragePool;
}

Window window_of(const ir::Node& node, int input) {
  if (!has_window(node) || input != 0) return {};
  const auto strides = node.ints_attr("strides", {1, 1}), dilations = node.ints_attr("dilations", {1, 1}),
             pads = node.ints_attr("pads", {0, 0, 0, 0});
  const int64_t kernel = node.op() == ir::Op::FusedConv ? node.input(1)->type.dims[2].value
                                                        : node.ints_attr("kernel_shape").at(0);
  return {.size = (kernel - 1) * dilations[0] + 1,
          .stride = strides[0],
          .pad_top = pads[0],
          .pad_bottom = pads[2]};
}

int64_t rows_of(const ir::Value* value) { return value->type.dims[1].value; }
bool is_activation(const ir::Value* value) { return value != nullptr && !value->is_constant(); }

Rows rows_read(const ir::Node& node, int input, const Rows& out) {
  const Window window = window_of(node, input);
  const int64_t rows = rows_of(node.input(input));
  return {std::clamp<int64_t>(window.begin(out.first), 0, rows),
          out.end == 0 ? 0 : std::clamp<int64_t>(window.end(out.end), 0, rows)};
}

bool has_whole_windows(const ir::Node& node) {
  if (node.int_attr("channels_last", 0) != 1 || node.string_attr("auto_pad", "NOTSET") != "NOTSET")
    return false;
  if (node.op() == ir::Op::FusedConv && !node.input(1)->is_constant()) return false;
  const Window window = window_of(node, 0);
  if (window.pad_top >= window.size || window.pad_bottom >= window.size) return false;
  // What an average divides by at the edges is not the window's to say.
  return node.op() != ir::Op::AveragePool || (window.pad_top == 0 && window.pad_bottom == 0);
}

/// Nothing in it is laid along the rows of the output.
bool is_same_in_all_rows(const ir::Value* constant) {
  return constant->type.rank() < 3 ||
         constant->type.dims[static_cast<size_t>(constant->type.rank() - 3)].value == 1;
}

/// Every row of the output comes of the same rows of the inputs.
bool keeps_rows(const ir::Node& node) {
  const auto fits = [&](const ir::Value* input) {
    if (input == nullptr) return true;
    if (input->is_constant()) return is_same_in_all_rows(input);
    return input->type.rank() == 4 && rows_of(input) == rows_of(node.output());
  };
  return std::all_of(node.inputs().begin(), node.inputs().end(), fits);
}

bool is_last_axis(const ir::Node& node) {
  const int64_t axis = node.int_attr("axis", 0);
  return axis == 3 || axis == -1;
}

bool has_one_scale(const ir::Node& node) {
  return node.input(1) != nullptr && node.input(1)->is_constant() &&
         elements_of(node.input(1)->type.shape()) == 1;
}

}  // namespace

bool can_band(const ir::Node& node) {
  using ir::Op;
  if (node.outputs().size() != 1 || node.output()->type.rank() != 4) return false;
  switch (node.op()) {
    case Op::FusedConv:
    case Op::MaxPool:
    case Op::AveragePool:
      return has_whole_windows(node);
    case Op::QuantizeLinear:
    case Op::DequantizeLinear:
      return has_one_scale(node) && keeps_rows(node);
    case Op::Concat:
      return is_last_axis(node) && keeps_rows(node);
    default:
      return is_elementwise(node.op()) && keeps_rows(node);
  }
}

namespace {

class Planner {
 public:
  Planner(const ir::Graph& graph, const std::vector<ir::Node*>& order, const Section& section)
      : graph_(graph), order_(order), section_(section) {
    for (size_t k = section.first; k < section.end; ++k) step_[order[k]] = k;
  }

  BandPlan plan() {
    for (size_t k = section_.end; k-- > section_.first;) ends_[order_[k]->output()] = ends_of(*order_[k]);
    BandPlan plan;
    for (int64_t band = 0; band < section_.bands; ++band) {
      plan.bands.emplace_back();
      for (size_t k = section_.first; k < section_.end; ++k)
        plan.bands.back().push_back(step_of(*order_[k], band));
    }
    for (size_t k = section_.first; k < section_.end; ++k) {
      const ir::Value* value = order_[k]->output();
      for (int64_t band = 0; band < section_.bands; ++band) {
        Rows held = rows_made(value, band);
        for (const ir::Use& use : value->uses())
          if (const auto reader = step_.find(use.node); reader != step_.end())
            held.first = std::min(held.first,
                                  rows_read(*use.node, use.index, rows_made(use.node->output(), band)).first);
        plan.held[value].push_back(held);
      }
    }
    return plan;
  }

 private:
  /// Where the rows made in each band end: where the last reader's window does.
  std::vector<int64_t> ends_of(const ir::Node& node) const {
    const ir::Value* value = node.output();
    const int64_t rows = rows_of(value);
    std::vector<int64_t> ends(static_cast<size_t>(section_.bands), 0);
    bool read_here = false, read_elsewhere = graph_.is_graph_output(value);
    for (const ir::Use& use : value->uses()) {
      if (!step_.contains(use.node)) {
        read_elsewhere = true;
        continue;
      }
      read_here = true;
      for (int64_t band = 0; band < section_.bands; ++band) {
        int64_t& end = ends[static_cast<size_t>(band)];
        end = std::max(end, rows_read(*use.node, use.index, {0, end_of(use.node->output(), band)}).end);
      }
    }
    if (!read_here)
      for (int64_t band = 0; band < section_.bands; ++band)
        ends[static_cast<size_t>(band)] = div_up(rows * (band + 1), section_.bands);
    if (read_elsewhere) ends.back() = rows;
    if (node.op() == ir::Op::FusedConv && has_float_result(node))
      for (int64_t& end : ends) end = std::min(rows, round_up(end, kPatchRows));
    return ends;
  }

  int64_t end_of(const ir::Value* value, int64_t band) const {
    return band < 0 ? 0 : ends_.at(value)[static_cast<size_t>(band)];
  }
  Rows rows_made(const ir::Value* value, int64_t band) const {
    return {end_of(value, band - 1), end_of(value, band)};
  }

  BandStep step_of(const ir::Node& node, int64_t band) const {
    BandStep step{.out = rows_made(node.output(), band), .in = {}};
    for (size_t i = 0; i < node.inputs().size(); ++i)
      step.in.push_back(is_activation(node.inputs()[i]) ? rows_read(node, static_cast<int>(i), step.out)
                                                        : Rows{});
    if (has_window(node) && step.out.count() > 0) {
      const Window window = window_of(node, 0);
      step.pad_top = std::max<int64_t>(0, -window.begin(step.out.first));
      step.pad_bottom = std::max<int64_t>(0, window.end(step.out.end) - rows_of(node.input(0)));
    }
    return step;
  }

  const ir::Graph& graph_;
  const std::vector<ir::Node*>& order_;
  const Section& section_;
  std::unordered_map<const ir::Node*, size_t> step_;
  std::unordered_map<const ir::Value*, std::vector<int64_t>> ends_;
};

}  // namespace

BandPlan plan_bands(const ir::Graph& graph, const std::vector<ir::Node*>& order, const Section& section) {
  return Planner(graph, order, section).plan();
}

ir::Graph band_graph(const ir::Node& node, const BandStep& band) {
  const auto cut = [](const ir::Value* value, const Rows& rows) {
    ir::TensorType type = value->type;
    type.dims[0] = 1;
    type.dims[1] = rows.count();
    return type;
  };
  ir::Graph graph;
  std::vector<ir::Value*> inputs;
  for (size_t i = 0; i < node.inputs().size(); ++i) {
    const ir::Value* input = node.inputs()[i];
    if (input == nullptr) {
      inputs.push_back(nullptr);
    } else if (input->is_constant()) {
      inputs.push_back(graph.add_constant(input->name, input->constant()));
      inputs.back()->type = input->type;
    } else {
      inputs.push_back(graph.add_input(input->name, cut(input, band.in[i])));
    }
  }
  ir::Node* alone = graph.add_node(node.op(), inputs, {node.output()->name}, node.attrs, node.name);
  alone->output()->type = cut(node.output(), band.out);
  if (has_window(node)) {
    auto pads = node.ints_attr("pads", {0, 0, 0, 0});
    pads[0] = band.pad_top, pads[2] = band.pad_bottom;
    alone->attrs["pads"] = pads;
  }
  return graph;
}

}  // namespace narrow::runtime
