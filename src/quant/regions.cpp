#include "quant/regions.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

bool is_activation(const Node& node) {
  switch (node.op()) {
    case Op::Relu:
    case Op::Clip:
    case Op::LeakyRelu:
    case Op::Elu:
    case Op::Sigmoid:
    case Op::Tanh:
    case Op::HardSigmoid:
    case Op::HardSwish:
    case Op::Swish:
    case Op::Mish:
    case Op::Gelu:
      return true;
    default:
      return false;
  }
}

bool is_pool(const Node& node) {
  switch (node.op()) {
    case Op::MaxPool:
      return node.outputs().size() == 1;
    case Op::AveragePool:
    case Op::GlobalAveragePool:
    case Op::GlobalMaxPool:
      return true;
    default:
      return false;
  }
}

bool is_float(const Value* v) { return v != nullptr && v->type.dtype == DType::f32; }

/// [N,C,1,1]: the gate of a squeeze-and-excite block.
bool is_gate(const Value* v) {
  const auto& d = v->type.dims;
  return v->type.ranked && d.size() == 4 && d[2].value == 1 && d[3].value == 1;
}

/// Inputs that carry data (the rest are shapes, indices and parameters).
std::vector<Value*> data_inputs(const Node& node) {
  if (node.op() == Op::Add || node.op() == Op::Sub || node.op() == Op::Mul || node.op() == Op::Concat)
    return node.inputs();
  return {node.input(0)};
}

/// Has an integer kernel and keeps 8-bit precision meaningful.
bool is_integer_able(const Node& node) {
  if (!is_float(node.input(0))) return false;
  if (is_activation(node) || is_pool(node) || is_movement(node) || node.op() == Op::LRN) return true;
  if (node.op() == Op::Add || node.op() == Op::Concat)
    return std::none_of(node.inputs().begin(), node.inputs().end(),
                        [](const Value* v) { return v == nullptr || v->is_constant(); });
  if (node.op() == Op::Mul)
    return !node.input(0)->is_constant() && !node.input(1)->is_constant() &&
           is_gate(node.input(0)) != is_gate(node.input(1));
  if (node.op() == Op::Resize) {
    const std::string mode = node.string_attr("mode", "nearest");
    return mode == "nearest" || mode == "linear";
  }
  return false;
}

/// Made of constants and shapes alone, like a code of positions that is as large as the batch: a constant
/// once a session knows the shapes.
bool follows_from_shapes(const Value* value) {
  std::vector<const Value*> pending = {value};
  std::unordered_set<const Node*> seen;
  while (!pending.empty()) {
    const Value* v = pending.back();
    pending.pop_back();
    if (v == nullptr || v->is_constant()) continue;
    const Node* node = v->producer();
    if (node == nullptr) return false;
    if (node->op() == Op::Shape || node->op() == Op::Size || !seen.insert(node).second) continue;
    pending.insert(pending.end(), node->inputs().rbegin(), node->inputs().rend());
  }
  return true;
}

class Analysis {
 public:
  Analysis(const ir::Graph& graph, const std::set<std::string>& wide)
      : graph_(graph), wide_(wide), order_(graph.nodes()) {
    for (const Node* node : order_) positions_.emplace(node, static_cast<int64_t>(positions_.size()));
  }

  IntegerRegions run() {
    find_candidates();
    find_needed();
    find_stored();
    return std::move(regions_);
  }

 private:
  bool is_integer_heavy(const Node& node) const { return is_heavy(node) && !wide_.contains(key_of(node)); }

  /// Forward: integers go in.
  void find_candidates() {
    for (const Value* input : graph_.inputs()) made_.insert(input);
    for (const Node* node : order_) {
      bool candidate = is_integer_heavy(*node);
      if (!candidate && is_integer_able(*node) && !wide_.contains(key_of(*node))) {
        const auto inputs = data_inputs(*node);
        candidate =
            std::all_of(inputs.begin(), inputs.end(), [&](const Value* v) { return made_.contains(v); });
      }
      if (!candidate && is_fused_after_heavy(*node)) candidate = true;
      if (!candidate) continue;
      candidates_.insert(node);
      for (const Value* output : node->outputs()) made_.insert(output);
    }
  }

  /// A constant bias after a MatMul is part of it.
  bool is_fused_after_heavy(const Node& node) const {
    if (node.op() != Op::Add) return false;
    for (int i = 0; i < 2; ++i) {
      const Value *x = node.input(i), *bias = node.input(1 - i);
      if (bias->is_constant() && x->producer() != nullptr && x->producer()->op() == Op::MatMul &&
          is_integer_heavy(*x->producer()) && graph_.readers(x) == 1)
        return true;
    }
    return false;
  }

  /// Backward: integers are wanted.
  void find_needed() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const Node* node = *it;
      if (!candidates_.contains(node)) continue;
      const bool wanted = is_heavy(*node) || std::any_of(node->outputs().begin(), node->outputs().end(),
                                                         [&](const Value* v) { return wanted_.contains(v); });
      if (!wanted) continue;
      regions_.nodes.insert(node);
      for (const Value* input : data_inputs(*node)) wanted_.insert(input);
    }
  }

  void find_stored() {
    for (const Node* node : order_)
      if (regions_.nodes.contains(node))
        for (const Value* input : data_inputs(*node))
          if (!input->is_constant() && !is_interior(input, *node)) regions_.stored.insert(input);
  }

  enum class Stage : uint8_t { none, product, biased, residual, activated };

  /// How far a chain that starts at a heavy node has come with this value; each value on it has one reader.
  Stage stage_of(const Value* value) const {
    const auto known = stages_.find(value);
    if (known != stages_.end()) return known->second;
    const Stage stage = compute_stage(value);
    stages_.emplace(value, stage);
    return stage;
  }

  Stage compute_stage(const Value* value) const {
    const Node* node = value->producer();
    if (node == nullptr || !regions_.nodes.contains(node)) return Stage::none;
    if (is_heavy(*node)) return Stage::product;
    if (node->op() == Op::Add) {
      for (int i = 0; i < 2; ++i)
        if (graph_.readers(node->input(i)) == 1 && continues(stage_of(node->input(i)), *node, i))
          return node->input(1 - i)->is_constant() ? Stage::biased : Stage::residual;
      return Stage::none;
    }
    if (is_activation(*node) && graph_.readers(node->input(0)) == 1 &&
        stage_of(node->input(0)) != Stage::none && stage_of(node->input(0)) != Stage::activated)
      return Stage::activated;
    return Stage::none;
  }

  /// The operand of an Add that is fused into the product before it: of two products the later one.
  bool continues(Stage stage, const Node& add, int index) const {
    if (stage == Stage::none || stage == Stage::residual || stage == Stage::activated) return false;
    const Value* other = add.input(1 - index);
    if (other->is_constant()) return stage == Stage::product;
    const Stage rival = graph_.readers(other) == 1 ? stage_of(other) : Stage::none;
    const bool rival_fuses = rival == Stage::product || rival == Stage::biased;
    return !rival_fuses || position(add.input(index)) > position(other);
  }

  int64_t position(const Value* value) const { return positions_.at(value->producer()); }

  bool is_interior(const Value* value, const Node& reader) const {
    if (graph_.readers(value) != 1) return false;
    if (is_bounded_by(value, reader)) return true;
    const Stage stage = stage_of(value);
    if (reader.op() == Op::Add) {
      const int index = reader.input(0) == value ? 0 : 1;
      return continues(stage, reader, index);
    }
    return is_activation(reader) && stage != Stage::none && stage != Stage::activated;
  }

  /// A sum or gated value whose bytes end at 0 anyway once they are those of the Relu that reads it.
  bool is_bounded_by(const Value* value, const Node& reader) const {
    const Node* node = value->producer();
    return reader.op() == Op::Relu && node != nullptr && regions_.nodes.contains(node) &&
           (node->op() == Op::Add || node->op() == Op::Mul);
  }

  const ir::Graph& graph_;
  const std::set<std::string>& wide_;
  std::vector<Node*> order_;
  std::unordered_set<const Value*> made_, wanted_;
  std::unordered_set<const Node*> candidates_;
  mutable std::unordered_map<const Value*, Stage> stages_;
  std::unordered_map<const Node*, int64_t> positions_;
  IntegerRegions regions_;
};

bool is_half_able(const Node& node) {
  if (!is_float(node.output())) return false;
  switch (node.op()) {
    case Op::Add:
    case Op::Sub:
    case Op::Mul:
    case Op::Div:
    case Op::Max:
    case Op::Min:
    case Op::Concat:
    case Op::MatMul:
    case Op::Attention:
    case Op::LayerNormalization:
    case Op::RMSNormalization:
    case Op::LRN:
    case Op::Resize:
      return true;
    case Op::Gather:
      return is_float(node.input(0));
    default:
      return is_activation(node) || is_pool(node) || is_movement(node);
  }
}

}  // namespace

const std::string& key_of(const Node& node) { return node.output(0)->name; }

bool is_large_table(const Node& node) {
  constexpr int64_t kLeastElements = 1 << 20;
  const Value* table = node.op() == Op::Gather ? node.input(0) : nullptr;
  return table != nullptr && table->is_constant() && node.int_attr("axis", 0) == 0 &&
         node.output()->type.ranked && table->constant().dtype() == DType::f32 &&
         table->constant().rank() == 2 && table->constant().elements() >= kLeastElements;
}

bool is_movement(const Node& node) {
  switch (node.op()) {
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Transpose:
    case Op::Slice:
    case Op::Split:
    case Op::DepthToSpace:
    case Op::SpaceToDepth:
    case Op::Expand:
      return true;
    case Op::Gather:
      return !node.input(0)->is_constant();
    case Op::Pad: {
      // Only zeros: another number may lie outside the range.
      const Value* value = node.input(2);
      if (node.string_attr("mode", "constant") != "constant") return true;
      return value == nullptr || (value->is_constant() && value->constant().elements() == 1 &&
                                  to_floats(value->constant())[0] == 0);
    }
    default:
      return false;
  }
}

const Value* weights_of(const Node& node) {
  const Value* w = node.input(1);
  if (w != nullptr && !w->is_constant() && w->producer() != nullptr && w->producer()->op() == Op::Cast)
    w = w->producer()->input(0);
  return w != nullptr && w->is_constant() ? w : nullptr;
}

bool is_heavy(const Node& node) {
  const Value* w = node.input(1);
  if (w == nullptr || !w->is_constant() || !is_float(w) || !is_float(node.input(0)) ||
      follows_from_shapes(node.input(0)))
    return false;
  if (node.op() == Op::Conv) return w->constant().rank() == 4;
  if (node.op() == Op::MatMul) return w->constant().rank() == 2;
  if (node.op() == Op::Gemm)
    return node.int_attr("transA", 0) == 0 && node.float_attr("alpha", 1) == 1 &&
           node.float_attr("beta", 1) == 1;
  return false;
}

int64_t channel_axis(const Node& node) {
  if (node.op() == Op::Conv) return 0;
  return node.op() == Op::Gemm && node.int_attr("transB", 0) != 0 ? 0 : 1;
}

int64_t group_axis(const Node& node) { return node.op() == Op::Conv ? 1 : 1 - channel_axis(node); }

IntegerRegions integer_regions(const ir::Graph& graph, const std::set<std::string>& wide) {
  return Analysis(graph, wide).run();
}

std::unordered_set<const Node*> half_region(const ir::Graph& graph, const std::set<std::string>& wide) {
  std::unordered_set<const Node*> region;
  std::unordered_set<const Value*> wanted;
  const std::vector<Node*> order = graph.nodes();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node* node = *it;
    const bool reaches = std::any_of(node->outputs().begin(), node->outputs().end(),
                                     [&](const Value* v) { return wanted.contains(v); });
    const bool heavy = is_heavy(*node) || node->op() == Op::Attention;
    if (heavy || reaches)
      for (const Value* input : node->inputs())
        if (input != nullptr) wanted.insert(input);
    if ((heavy || (reaches && is_half_able(*node))) && is_float(node->output()) &&
        !wide.contains(key_of(*node)))
      region.insert(node);
  }
  return region;
}

}  // namespace narrow::quant
