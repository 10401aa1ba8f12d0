#include "quant/value_rotations.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "passes/match.h"
#include "quant/hadamard.h"
#include "quant/scale_groups.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

bool is_product(const Node& node) {
  return (node.op() == Op::MatMul || node.op() == Op::Gemm) && node.input(1) != nullptr &&
         node.input(1)->is_constant();
}

bool mixes_activations(const Value* value) {
  const Node* node = value->producer();
  return node != nullptr && node->op() == Op::MatMul && !node->input(1)->is_constant();
}

/// What it does to a row of channels it does to that row times any matrix.
bool is_linear(const Node& node) {
  switch (node.op()) {
    case Op::MatMul:
    case Op::Gemm:
    case Op::Add:
    case Op::Sub:
    case Op::Neg:
    case Op::Identity:
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Transpose:
    case Op::Expand:
    case Op::Slice:
    case Op::Split:
    case Op::Gather:
    case Op::Concat:
    case Op::ReduceMean:
    case Op::ReduceSum:
      return true;
    case Op::Mul:
    case Op::Div:
      return passes::scalar_constant(node.input(1)) ||
             (node.op() == Op::Mul && passes::scalar_constant(node.input(0)));
    default:
      return false;
  }
}

/// Where a group's channels lie: rows of positions in the order its producer makes them; kFixed: not of it.
class Blocks {
 public:
  explicit Blocks(const ScaleGroup& group)
      : group_(group), position_(static_cast<size_t>(group.factors), kFixed) {}

  /// Why the channels cannot be turned; empty when they can. Finds the blocks.
  std::string find() {
    if (std::string reason = number(); !reason.empty()) return reason;
    size_ = group_.factors;
    for (const ScaledLayer& layer : group_.producers) narrow_by(layer.factors);
    for (const ScaledLayer& layer : group_.consumers) narrow_by(layer.factors);
    for (const ScaledValue& v : group_.values) {
      const Node* node = v.value->producer();
      if (node == nullptr) return fmt::format("'{}' is an input of the model", v.value->name);
      if (!is_linear(*node)) return fmt::format("{} lies between", node->location());
      if (v.factors.rank() == 0 || !v.factors.varies(v.factors.rank() - 1))
        return fmt::format("the channels of '{}' do not lie along its last axis", v.value->name);
      for (const auto& row : rows(v.factors)) narrow_by(row);
    }
    if (!can_rotate(size_)) return fmt::format("blocks of {} channels stay together", size_);
    return "";
  }

  int64_t size() const { return size_; }

  /// Where blocks begin in a row of factors; nothing where a block is torn.
  std::optional<std::vector<int64_t>> starts(const std::vector<int>& row) const {
    std::vector<int64_t> list;
    for (size_t i = 0; i < row.size();) {
      if (row[i] == kFixed) {
        ++i;
        continue;
      }
      const int first = position(row[i]);
      if (first % size_ != 0 || i + static_cast<size_t>(size_) > row.size()) return std::nullopt;
      for (int64_t k = 0; k < size_; ++k)
        if (const int id = row[i + static_cast<size_t>(k)]; id == kFixed || position(id) != first + k)
          return std::nullopt;
      list.push_back(static_cast<int64_t>(i));
      i += static_cast<size_t>(size_);
    }
    return list;
  }
  /// The same of every row of a value; nothing where rows differ.
  std::optional<std::vector<int64_t>> starts(const ChannelIds& ids) const {
    std::optional<std::vector<int64_t>> all;
    for (const auto& row : rows(ids)) {
      const auto own = starts(row);
      if (!own || (all && *all != *own)) return std::nullopt;
      all = own;
    }
    return all;
  }

 private:
  int position(int id) const { return position_[static_cast<size_t>(id)]; }

  static std::vector<std::vector<int>> rows(const ChannelIds& ids) {
    const auto length = static_cast<size_t>(ids.dims.back());
    std::vector<std::vector<int>> list;
    for (size_t i = 0; i < ids.ids.size(); i += length)
      list.emplace_back(ids.ids.begin() + static_cast<int64_t>(i),
                        ids.ids.begin() + static_cast<int64_t>(i + length));
    return list;
  }

  /// Positions by the first producer, which must make every channel once, as all others.
  std::string number() {
    for (const ScaledLayer& layer : group_.producers) {
      if (!is_product(*layer.node)) return fmt::format("{} makes them", layer.node->location());
      int next = 0;
      for (const int id : layer.factors) {
        if (id == kFixed) continue;
        int& at = position_[static_cast<size_t>(id)];
        if (&layer == &group_.producers.front() && at == kFixed) at = next;
        if (at != next++) return "layers make its channels in different orders";
      }
      if (next != group_.factors) return "several layers make its channels together";
    }
    for (const ScaledLayer& layer : group_.consumers)
      if (!is_product(*layer.node)) return fmt::format("{} reads them", layer.node->location());
    return "";
  }

  /// Blocks no longer than what lies together: where runs of consecutive positions begin and end, blocks do.
  void narrow_by(const std::vector<int>& row) {
    for (size_t i = 0; i < row.size();) {
      if (row[i] == kFixed) {
        ++i;
        continue;
      }
      const int first = position(row[i]);
      size_t end = i + 1;
      while (end < row.size() && row[end] != kFixed &&
             position(row[end]) == first + static_cast<int>(end - i))
        ++end;
      size_ = std::gcd(std::gcd(size_, int64_t{first}), static_cast<int64_t>(end - i));
      i = end;
    }
  }

  const ScaleGroup& group_;
  std::vector<int> position_;  // of each factor
  int64_t size_ = 0;
};

/// Adds the places where the blocks lie in constants; false where that is not possible.
bool place(const ScaleGroup& group, const Blocks& blocks, ValueRotation& rotation) {
  const auto add = [&](Node* node, int input, int64_t axis, int64_t extent, const auto& starts) {
    if (!starts) return false;
    rotation.constants.push_back({node, input, axis, extent, *starts});
    return true;
  };
  for (const bool makes : {true, false})
    for (const ScaledLayer& layer : makes ? group.producers : group.consumers) {
      Node* node = layer.node;
      const bool transposed = node->op() == Op::Gemm && node->int_attr("transB", 0) != 0;
      const auto starts = blocks.starts(layer.factors);
      const int64_t channels = std::ssize(layer.factors);
      if (!add(node, 1, makes == transposed ? 0 : 1, channels, starts)) return false;
      if (makes && node->op() == Op::Gemm && node->input(2) != nullptr && !add(node, 2, -1, channels, starts))
        return false;
      (makes ? rotation.producers : rotation.consumers).push_back(node);
    }
  for (const ScaledShift& shift : group.shifts) {
    const Tensor& constant = shift.node->input(shift.input)->constant();
    const int64_t extent = shift.factors.dims.back();
    if (constant.rank() > 0 && constant.shape().back() != extent && constant.shape().back() != 1)
      return false;
    if (!add(shift.node, shift.input, -1, extent, blocks.starts(shift.factors))) return false;
  }
  return true;
}

}  // namespace

ValueRotations find_value_rotations(const ir::Graph& graph) {
  ValueRotations found;
  const ScaleGroups scaled = find_scale_groups(graph);
  for (const ScaleGroup& group : scaled.groups) {
    if (group.values.empty() || group.producers.empty()) continue;
    const auto mixed = std::find_if(group.values.begin(), group.values.end(),
                                    [](const ScaledValue& v) { return mixes_activations(v.value); });
    ValueRotation rotation;
    rotation.attention = mixed != group.values.end();
    Blocks blocks(group);
    std::string reason = group.clips.empty() ? blocks.find() : "a Clip lies between";
    if (reason.empty()) {
      rotation.block = blocks.size();
      rotation.blocks = group.factors / blocks.size();
      if (!place(group, blocks, rotation)) reason = "its blocks are torn apart";
    }
    if (reason.empty())
      found.rotations.push_back(std::move(rotation));
    else if (rotation.attention)
      found.left_alone.push_back({mixed->value->name, reason});
  }
  return found;
}

}  // namespace narrow::quant
