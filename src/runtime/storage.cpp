#include "runtime/storage.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "runtime/memory_plan.h"

namespace narrow::runtime {
namespace {

int64_t bytes_of(const ir::Value* value) {
  return elements_of(value->type.shape()) * narrow::bytes_of(value->type.dtype);
}

/// The bytes of the output are the bytes of input 0.
bool keeps_bytes(const ir::Node& node) {
  switch (node.op()) {
    case ir::Op::Reshape:
    case ir::Op::Flatten:
    case ir::Op::Squeeze:
    case ir::Op::Unsqueeze:
      return true;
    case ir::Op::Identity:
      return node.input(0)->type.dtype == node.output()->type.dtype &&
             (!node.input(0)->type.quant || !node.output()->type.quant ||
              *node.input(0)->type.quant == *node.output()->type.quant);
    case ir::Op::Transpose: {
      // A transpose that only moves axes of length one.
      const auto perm = node.ints_attr("perm");
      const Shape shape = node.input(0)->type.shape();
      int64_t last = -1;
      if (perm.size() != shape.size()) return false;
      for (const int64_t axis : perm) {
        if (shape[static_cast<size_t>(axis)] == 1) continue;
        if (axis < last) return false;
        last = axis;
      }
      return true;
    }
    default:
      return false;
  }
}

/// The channel of input 0 that output `i` begins with, where all channels up to its last are copied as they
/// lie; nothing where others or other axes are cut.
std::optional<int64_t> first_channel(const ir::Node& node, size_t i) {
  if (node.op() == ir::Op::Split) {
    const int64_t axis = node.int_attr("axis", 0);
    if (axis != 3 && axis != -1) return std::nullopt;
    int64_t first = 0;
    for (size_t before = 0; before < i; ++before) first += node.outputs()[before]->type.dims[3].value;
    return first;
  }
  for (size_t k = 1; k < node.inputs().size(); ++k)
    if (node.inputs()[k] != nullptr && !node.inputs()[k]->is_constant()) return std::nullopt;
  const auto ints = [&](size_t k) {
    return k < node.inputs().size() && node.inputs()[k] != nullptr ? to_ints(node.inputs()[k]->constant())
                                                                   : std::vector<int64_t>();
  };
  const std::vector<int64_t> starts = ints(1), axes = ints(3), steps = ints(4);
  const bool of_channels = axes.size() == 1 && (axes[0] == 3 || axes[0] == -1);
  if (!of_channels || starts.size() != 1 || (!steps.empty() && steps[0] != 1)) return std::nullopt;
  const int64_t channels = node.inputs()[0]->type.dims[3].value;
  return std::clamp<int64_t>(starts[0] < 0 ? starts[0] + channels : starts[0], 0, channels);
}

class Builder {
 public:
  Builder(const ir::Graph& graph, const std::vector<ir::Node*>& order, const std::vector<Section>& sections,
          const CanPitch& can_pitch)
      : graph_(graph), order_(order), can_pitch_(can_pitch) {
    for (size_t i = 0; i < order.size(); ++i) step_[order[i]] = static_cast<int64_t>(i);
    for (const Section& section : sections) {
      section_of_.insert(section_of_.end(), section.end - section.first, &section);
      if (section.is_banded()) held_.merge(plan_bands(graph, order, section).held);
    }
  }

  Storage build() {
    for (ir::Value* value : graph_.values()) index_of(value);
    for (const ir::Node* node : order_) {
      for (const ir::Value* input : node->inputs())
        if (input != nullptr) index_of(input);
      for (const ir::Value* output : node->outputs()) index_of(output);
    }
    for (const ir::GraphOutput& output : graph_.outputs()) index_of(output.value);
    parent_.resize(values_.size());
    std::iota(parent_.begin(), parent_.end(), size_t{0});
    for (const ir::Node* node : order_)
      if (keeps_bytes(*node)) {
        join(index_of(node->output()), index_of(node->input(0)));
        storage_.aliases.insert(node);
      }
    measure();
    write_into_concats();
    read_out_of_splits();
    overwrite_residuals();
    measure();
    place();
    return std::move(storage_);
  }

 private:
  struct Piece {
    int64_t first = std::numeric_limits<int64_t>::max(), last = -1, bytes = 0;
    int64_t input = -1, output = -1;
    const Tensor* constant = nullptr;
    const Section* section = nullptr;  // sliced, and the only one that touches the piece
    std::vector<Rows> held;            // in each of its bands, of so many rows
    int64_t rows = 0;

    /// A step of `in` reads or writes it.
    void touch(int64_t step, const Section* in) {
      section = last < 0 || section == in ? in : nullptr;
      first = std::min(first, step);
      last = std::max(last, step);
    }
    /// Other slices run meanwhile: what leaves a sliced section lives as long as all of it.
    void span(const Section& in) {
      first = std::min(first, static_cast<int64_t>(in.first));
      last = std::max(last, static_cast<int64_t>(in.end) - 1);
    }
  };

  size_t index_of(const ir::Value* value) {
    const auto [it, fresh] = index_.try_emplace(value, values_.size());
    if (fresh) values_.push_back(value);
    return it->second;
  }
  size_t find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t child, size_t into) { parent_[find(child)] = find(into); }

  /// Lifetime and kind of every piece of shared memory.
  void measure() {
    pieces_.assign(values_.size(), {});
    for (size_t i = 0; i < values_.size(); ++i) {
      const ir::Value* value = values_[i];
      Piece& piece = pieces_[find(i)];
      if (value->is_constant()) {
        piece.constant = &value->constant();
        continue;
      }
      piece.bytes = std::max(piece.bytes, bytes_of(value));
      for_each_step(value, [&](int64_t step, const Section& section) {
        piece.touch(step, section.is_sliced() ? &section : nullptr);
      });
    }
    for (size_t i = 0; i < graph_.inputs().size(); ++i)
      pieces_[find(index_of(graph_.inputs()[i]))].input = static_cast<int64_t>(i);
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      Piece& piece = pieces_[find(index_of(graph_.outputs()[i].value))];
      if (piece.output < 0) piece.output = static_cast<int64_t>(i);
      piece.last = static_cast<int64_t>(order_.size());
    }
    for (size_t i = 0; i < values_.size(); ++i) {
      Piece& piece = pieces_[find(i)];
      if (piece.constant != nullptr || is_of_slice(piece)) continue;
      for_each_step(values_[i], [&](int64_t /*step*/, const Section& section) {
        if (section.is_sliced()) piece.span(section);
      });
    }
    for (Piece& piece : pieces_)
      if (is_of_slice(piece)) piece.bytes /= piece.section->count;
    keep_rows_of_bands();
  }

  /// Memory for no more rows than are alive in a band.
  void keep_rows_of_bands() {
    for (size_t i = 0; i < values_.size(); ++i) {
      Piece& piece = pieces_[find(i)];
      if (!is_of_slice(piece) || !piece.section->is_banded()) continue;
      const std::vector<Rows>& held = held_.at(values_[i]);
      if (piece.held.empty()) piece.held = held;
      for (size_t band = 0; band < held.size(); ++band)
        piece.held[band] = {std::min(piece.held[band].first, held[band].first),
                            std::max(piece.held[band].end, held[band].end)};
      piece.rows = values_[i]->type.dims[1].value;
    }
    for (Piece& piece : pieces_) {
      if (piece.held.empty()) continue;
      int64_t most = 0;
      for (const Rows& rows : piece.held) most = std::max(most, rows.count());
      piece.bytes = piece.bytes / piece.rows * most;
      piece.span(*piece.section);
    }
  }

  /// Calls f(step, its section) for the step that makes a value and those that read it.
  template <class F>
  void for_each_step(const ir::Value* value, F&& f) const {
    const auto call = [&](const ir::Node* node) {
      const auto step = step_.find(node);
      if (step != step_.end()) f(step->second, *section_of_[static_cast<size_t>(step->second)]);
    };
    if (value->producer() != nullptr) call(value->producer());
    for (const ir::Use& use : value->uses()) call(use.node);
  }
  bool is_of_slice(const Piece& piece) const { return piece.section != nullptr && in_arena(piece); }

  bool in_arena(const Piece& piece) const {
    return piece.input < 0 && piece.output < 0 && piece.constant == nullptr;
  }

  /// dst may be the residual's memory (kernels/conv/conv.h) when nothing reads the residual later.
  void overwrite_residuals() {
    for (const ir::Node* node : order_) {
      if (node->op() != ir::Op::FusedConv && node->op() != ir::Op::FusedMatMul) continue;
      // The window of a later band may reach back to rows of the residual.
      if (section_of_[static_cast<size_t>(step_.at(node))]->is_banded()) continue;
      const ir::Value* residual = node->input(3);
      if (residual == nullptr || residual == node->input(0)) continue;
      const size_t from = find(index_of(residual)), to = find(index_of(node->output()));
      const Piece &old = pieces_[from], &now = pieces_[to];
      const bool dies_here = old.last == step_.at(node);
      const bool same_type = residual->type.dtype == node->output()->type.dtype &&
                             residual->type.shape() == node->output()->type.shape();
      if (from == find(index_of(node->input(0)))) continue;
      const bool same_room = old.bytes == now.bytes && old.section == now.section;
      if (in_arena(old) && in_arena(now) && dies_here && same_type && same_room) {
        join(to, from);
        measure();
      }
    }
  }

  const Section* section_of(const ir::Node* node) const {
    return section_of_[static_cast<size_t>(step_.at(node))];
  }
  int64_t pitch_of(const ir::Value* value) const {
    const auto part = parts_.find(value);
    return part == parts_.end() ? 0 : part->second.pitch;
  }

  /// Whether a step can write the value between others' channels, and those who read it find it there.
  bool can_lie_in(const ir::Value* value, const ir::Node* concat, int64_t pitch) {
    const ir::Value* out = concat->output();
    const ir::Node* producer = value != nullptr ? value->producer() : nullptr;
    if (producer == nullptr || !step_.contains(producer) || parts_.contains(value)) return false;
    const bool same_format = value->type.dtype == out->type.dtype &&
                             (value->type.quant == nullptr) == (out->type.quant == nullptr) &&
                             (value->type.quant == nullptr || *value->type.quant == *out->type.quant);
    if (!same_format || !in_arena(pieces_[find(index_of(value))]) ||
        section_of(producer) != section_of(concat) ||
        !can_pitch_(*producer, {.src = pitch_of(producer->input(0)), .dst = pitch}))
      return false;
    int64_t taken = 0;  // by the concat
    for (const ir::Use& use : value->uses())
      if (use.node == concat)
        ++taken;
      else if (!is_found_apart(use, pitch))
        return false;
    return taken == 1;
  }

  /// Whether who reads a value finds its pixels that far apart.
  bool is_found_apart(const ir::Use& use, int64_t pitch) const {
    if (!step_.contains(use.node) || (use.index != 0 && use.node->op() != ir::Op::Concat)) return false;
    return can_pitch_(*use.node, {.src = pitch, .dst = pitch_of(use.node->output())});
  }

  /// Channels last: inputs are made where they lie in the output. Outer Concats come first: how far apart the
  /// pixels of an inner one lie follows from them.
  void write_into_concats() {
    for (auto at = order_.rbegin(); at != order_.rend(); ++at) {
      const ir::Node* node = *at;
      if (node->op() != ir::Op::Concat || node->output()->type.rank() != 4) continue;
      const int64_t axis = node->int_attr("axis", 0);
      if ((axis != 3 && axis != -1) || !in_arena(pieces_[find(index_of(node->output()))])) continue;
      const auto outer = parts_.find(node->output());
      const Part whole = outer != parts_.end() ? outer->second : Part{0, node->output()->type.dims[3].value};
      if (!can_pitch_(*node, {.src = 0, .dst = whole.pitch})) continue;
      std::vector<bool> placed;
      int64_t channel = 0;
      for (const ir::Value* input : node->inputs()) {
        placed.push_back(can_lie_in(input, node, whole.pitch));
        if (placed.back()) {
          parts_[input] = {whole.offset + channel * narrow::bytes_of(input->type.dtype), whole.pitch};
          join(index_of(input), index_of(node->output()));
        }
        channel += input->type.dims[3].value;
      }
      if (std::find(placed.begin(), placed.end(), true) == placed.end()) continue;
      if (std::find(placed.begin(), placed.end(), false) == placed.end()) storage_.aliases.insert(node);
      storage_.placed[node] = std::move(placed);
      measure();
    }
  }

  /// Channels last: what a Split or Slice of channels gives is read where it lies in the input.
  void read_out_of_splits() {
    for (const ir::Node* node : order_) {
      if (node->op() != ir::Op::Split && node->op() != ir::Op::Slice) continue;
      const ir::Value* input = node->input(0);
      if (input->type.rank() != 4 || !in_arena(pieces_[find(index_of(input))])) continue;
      const auto wider = parts_.find(input);
      const Part whole = wider != parts_.end() ? wider->second : Part{0, input->type.dims[3].value};
      std::vector<bool> placed;
      for (size_t i = 0; i < node->outputs().size(); ++i)
        placed.push_back(first_channel(*node, i) && can_stay_in(node->outputs()[i], node, whole.pitch));
      const bool all = std::find(placed.begin(), placed.end(), false) == placed.end();
      if (!all && !can_pitch_(*node, {.src = pitch_of(input), .dst = 0})) continue;
      for (size_t i = 0; i < placed.size(); ++i) {
        if (!placed[i]) continue;
        const ir::Value* output = node->outputs()[i];
        const int64_t channel = *first_channel(*node, i);
        parts_[output] = {whole.offset + channel * narrow::bytes_of(input->type.dtype), whole.pitch};
        join(index_of(output), index_of(input));
        measure();
      }
      if (all) storage_.aliases.insert(node);
      if (node->op() == ir::Op::Split) storage_.placed[node] = std::move(placed);
    }
  }

  /// Whether those who read an output of a Split or Slice find it in the input.
  bool can_stay_in(const ir::Value* output, const ir::Node* split, int64_t pitch) {
    if (parts_.contains(output) || !in_arena(pieces_[find(index_of(output))])) return false;
    return std::all_of(output->uses().begin(), output->uses().end(), [&](const ir::Use& use) {
      return is_found_apart(use, pitch) && section_of(use.node) == section_of(split);
    });
  }

  void place() {
    std::vector<Lifetime> lifetimes;
    std::vector<size_t> roots;
    for (size_t i = 0; i < values_.size(); ++i)
      if (find(i) == i && in_arena(pieces_[i]) && pieces_[i].last >= 0) {
        lifetimes.push_back({pieces_[i].bytes, pieces_[i].first, pieces_[i].last});
        roots.push_back(i);
      }
    const MemoryPlan plan = plan_memory(lifetimes);
    storage_.arena_bytes = plan.arena_bytes;
    storage_.lower_bound = plan.lower_bound;
    std::unordered_map<size_t, int64_t> offsets;
    for (size_t k = 0; k < roots.size(); ++k) offsets[roots[k]] = plan.offsets[k];
    for (size_t i = 0; i < values_.size(); ++i) {
      const Piece& piece = pieces_[find(i)];
      Location location;
      if (piece.constant != nullptr)
        location = {.kind = Location::Kind::constant, .constant = piece.constant};
      else if (piece.input >= 0)
        location = {.kind = Location::Kind::input, .index = piece.input};
      else if (piece.output >= 0)
        location = {.kind = Location::Kind::output, .index = piece.output};
      else
        location = {.kind = Location::Kind::arena,
                    .index = offsets.contains(find(i)) ? offsets.at(find(i)) : 0};
      if (const auto part = parts_.find(values_[i]); part != parts_.end()) {
        location.index += part->second.offset;
        location.pitch = part->second.pitch;
      }
      storage_.locations[values_[i]] = location;
      if (is_of_slice(piece)) storage_.of_slice.insert(values_[i]);
      if (!piece.held.empty()) storage_.held[values_[i]] = {offsets.at(find(i)), piece.held};
    }
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      const ir::Value* value = graph_.outputs()[i].value;
      const Location& at = storage_.locations.at(value);
      if (at.kind != Location::Kind::output || at.index != static_cast<int64_t>(i))
        storage_.copies.push_back({at, static_cast<int64_t>(i), bytes_of(value)});
    }
  }

  /// Of a value that lies between the channels of others.
  struct Part {
    int64_t offset, pitch;  // bytes, elements
  };

  const ir::Graph& graph_;
  const std::vector<ir::Node*>& order_;
  const CanPitch& can_pitch_;
  std::unordered_map<const ir::Value*, Part> parts_;
  std::unordered_map<const ir::Node*, int64_t> step_;
  std::vector<const Section*> section_of_;                        // per step
  std::unordered_map<const ir::Value*, std::vector<Rows>> held_;  // of values that sections in bands make
  std::unordered_map<const ir::Value*, size_t> index_;
  std::vector<const ir::Value*> values_;
  std::vector<size_t> parent_;
  std::vector<Piece> pieces_;
  Storage storage_;
};

}  // namespace

Storage assign_storage(const ir::Graph& graph, const std::vector<ir::Node*>& order,
                       const std::vector<Section>& sections, const CanPitch& can_pitch) {
  return Builder(graph, order, sections, can_pitch).build();
}

}  // namespace narrow::runtime
