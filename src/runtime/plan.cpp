#include "runtime/plan.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "runtime/bands.h"
#include "runtime/choose.h"
#include "runtime/memory_plan.h"
#include "runtime/storage.h"

namespace narrow::runtime {
namespace {

Status check_static(const ir::Graph& graph) {
  for (const ir::Value* input : graph.inputs())
    if (!input->type.is_static())
      return Error{.code = Code::invalid_data,
                   .subject = "input '" + input->name + "'",
                   .expected = "a shape for its free dimensions",
                   .got = ir::to_string(input->type)};
  for (const ir::Node* node : graph.nodes())
    for (const ir::Value* output : node->outputs())
      if (!output->type.is_static() || output->type.dtype == DType::undefined)
        return Error{.code = Code::unsupported,
                     .subject = node->location(),
                     .expected = "a shape that follows from the input shapes",
                     .got = ir::to_string(output->type)};
  return {};
}

class Planner {
 public:
  Planner(Plan& plan, const PlanOptions& options, PackCache& packs, ThreadPool& pool)
      : plan_(plan),
        options_(options),
        packs_(packs),
        pool_(pool),
        order_(plan.graph.nodes()),
        keys_(plan.graph) {}

  Status make() {
    plan_.sections = plan_slices(plan_.graph, order_, options_.slices, options_.threads);
    if (has_bands(plan_.sections) && !takes_bands(keys_, options_))
      plan_.sections = plan_slices(plan_.graph, order_, options_.slices.without_bands(), options_.threads);
    for (Section& section : plan_.sections) cut(section);
    const CanPitch can_pitch = [&](const ir::Node& node, const Pitches& pitches) {
      NodeCase c = case_of(node);
      c.src_pitch = pitches.src, c.dst_pitch = pitches.dst;
      return reads_and_writes_pitched(c, options_);
    };
    storage_ = assign_storage(plan_.graph, order_, plan_.sections, can_pitch);
    for (const Section& section : plan_.sections) NARROW_DO(add_steps(section));
    if (fetches_ahead(keys_, options_)) fetch_ahead();
    plan_.info.choices = choices_for_plan(keys_, options_);
    plan_.copies = storage_.copies;
    plan_.arena_bytes = storage_.arena_bytes;
    plan_.info.arena_bytes = storage_.arena_bytes;
    plan_.info.arena_lower_bound = storage_.lower_bound;
    return {};
  }

 private:
  /// One step of a band, or of a slice of whole images.
  struct Part {
    const ir::Node* node = nullptr;  // null: nothing to do
    BandStep rows = {};              // in bands
  };
  /// The kernels of the nodes that are one step in bands of different heights; empty where it does nothing.
  struct StepKernels {
    Status status = {};
    std::map<const ir::Node*, std::shared_ptr<const Kernel>> of = {};
  };

  NodeCase case_of(const ir::Node& node) const {
    return {.node = node, .isa = options_.isa, .threads = options_.threads, .packs = &packs_};
  }
  /// Of a node of a slice. Bands are not timed: the whole image is.
  NodeCase case_of_part(const Section& section, const ir::Node& whole, const ir::Node& node) const {
    NodeCase c = case_of(node);
    if (section.is_banded()) c.timed = &whole;
    return c;
  }

  /// Each step that streams weights in fetches those of the next one that does, where they leave room in L2.
  void fetch_ahead() {
    const int64_t room = cpu_features().l2_bytes / 8 * 5;
    Step* last = nullptr;
    for (Step& step : plan_.steps) {
      const kernels::WeightStream stream =
          step.kernel != nullptr ? step.kernel->weights() : kernels::WeightStream{};
      if (stream.bytes == 0) continue;
      if (last != nullptr && last->kernel != step.kernel &&
          stream.bytes_per_thread(options_.threads) <= room) {
        last->next = stream;
        plan_.info.fetches_ahead = true;
      }
      last = &step;
    }
  }

  /// The nodes of every run of a section over one slice of the batch, in parts_. Where sums round, slices
  /// keep the kernel of the whole batch, so that no bit depends on how it is sliced: sections in which that
  /// one does not take a slice run whole.
  void cut(Section& section) {
    make_parts(section);
    for (const std::vector<Part>& band : parts_.at(section.first))
      for (size_t i = 0; i < band.size() && section.is_sliced(); ++i) {
        const ir::Node& whole = *order_[section.first + i];
        if (band[i].node == nullptr || !has_float_result(whole)) continue;
        if (preferred(case_of(whole), options_) ==
            preferred(case_of_part(section, whole, *band[i].node), options_))
          continue;
        section = {.first = section.first, .end = section.end, .images = section.images * section.count};
      }
    if (!section.is_sliced()) make_parts(section);
  }

  void make_parts(const Section& section) {
    std::vector<std::vector<Part>>& parts = parts_[section.first];
    parts.clear();
    if (section.is_banded()) {
      make_bands(section, parts);
      return;
    }
    const std::vector<ir::Node*> nodes = section.is_sliced() ? nodes_for(section.images) : order_;
    parts.emplace_back();
    for (size_t k = section.first; k < section.end; ++k) parts[0].push_back({.node = nodes[k]});
  }

  /// Of a copy of the graph for that many images.
  std::vector<ir::Node*> nodes_for(int64_t images) {
    const auto [it, fresh] = of_images_.try_emplace(images);
    if (fresh) {
      plan_.of_slice.push_back(slice_graph(plan_.graph, plan_.sections, images));
      it->second = plan_.of_slice.back().nodes();
    }
    return it->second;
  }

  /// Bands that differ only in where their rows are share nodes.
  void make_bands(const Section& section, std::vector<std::vector<Part>>& parts) {
    using Shape = std::vector<int64_t>;
    std::vector<std::map<Shape, const ir::Node*>> known(section.end - section.first);
    for (std::vector<BandStep>& band : plan_bands(plan_.graph, order_, section).bands) {
      parts.emplace_back();
      for (size_t i = 0; i < band.size(); ++i) {
        parts.back().push_back({.node = nullptr, .rows = band[i]});
        if (band[i].out.count() == 0) continue;
        Shape shape = {band[i].out.count(), band[i].pad_top, band[i].pad_bottom};
        for (const Rows& rows : band[i].in) shape.push_back(rows.count());
        const ir::Node*& node = known[i][shape];
        if (node == nullptr) {
          plan_.of_slice.push_back(band_graph(*order_[section.first + i], band[i]));
          node = plan_.of_slice.back().nodes().front();
        }
        parts.back().back().node = node;
      }
    }
  }

  Status add_steps(const Section& section) {
    const size_t first = plan_.steps.size(), count = section.end - section.first;
    std::vector<StepChoice> choices;
    for (size_t k = section.first; k < section.end; ++k) {
      choices.push_back(choice_of(*order_[k], options_.isa));
      choices.back().slices = section.count;
      choices.back().bands = section.bands;
    }
    std::vector<StepKernels> made(count);  // packing weights takes long: all at once
    pool_.run(static_cast<int64_t>(count), [&](int64_t task) {
      const auto i = static_cast<size_t>(task);
      made[i].status = make_kernels(section, i, made[i], choices[i]);
    });
    for (const StepKernels& step : made) NARROW_DO(step.status);
    for (const StepKernels& step : made) account_for(step);
    const std::vector<std::vector<Part>>& parts = parts_.at(section.first);
    for (size_t band = 0; band < parts.size(); ++band) {
      std::vector<Move> moves = section.is_banded() ? moves_before(band, section) : std::vector<Move>();
      for (size_t i = 0; i < parts[band].size(); ++i) {
        if (parts[band][i].node == nullptr) continue;
        add_step(section, *order_[section.first + i], band, parts[band][i], made[i]);
        plan_.steps.back().moves = std::exchange(moves, {});
      }
      NARROW_CHECK(moves.empty());
    }
    plan_.loops.push_back({.first = first, .end = plan_.steps.size(), .count = section.count});
    std::move(choices.begin(), choices.end(), std::back_inserter(plan_.info.steps));
    return {};
  }

  /// Of step i of the section; `choice` tells of the first. Steps know nothing of each other here.
  Status make_kernels(const Section& section, size_t i, StepKernels& made, StepChoice& choice) {
    const ir::Node& whole = *order_[section.first + i];
    if (storage_.is_alias(whole)) {
      choice.kernel = "alias";
      return {};
    }
    for (const std::vector<Part>& band : parts_.at(section.first)) {
      const ir::Node* node = band[i].node;
      if (node == nullptr || made.of.contains(node)) continue;
      StepChoice later;
      const NodeCase c = stored_case(section, whole, *node);
      NARROW_TRY(made.of[node], choose(c, options_, made.of.empty() ? choice : later));
    }
    return {};
  }

  void account_for(const StepKernels& step) {
    for (const auto& [node, kernel] : step.of)
      plan_.scratch_bytes = std::max(plan_.scratch_bytes, kernel->scratch_bytes());
    if (!step.of.empty()) plan_.info.weight_bytes += step.of.begin()->second->packed_bytes();
  }

  void add_step(const Section& section, const ir::Node& whole, size_t band, const Part& part,
                const StepKernels& made) {
    const ir::Node& node = *part.node;
    Step step{.node = &node, .kernel = nullptr, .inputs = {}, .outputs = {}};
    if (!made.of.empty()) step.kernel = made.of.at(&node);
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      const bool read =
          node.inputs()[i] != nullptr && (!step.kernel || step.kernel->reads(static_cast<int>(i)));
      const Rows rows = section.is_banded() ? part.rows.in[i] : Rows{};
      step.inputs.push_back(read ? location_of(section, whole.inputs()[i], band, rows)
                                 : Location{.kind = Location::Kind::constant});
    }
    for (const ir::Value* output : whole.outputs())
      step.outputs.push_back(location_of(section, output, band, part.rows.out));
    plan_.steps.push_back(std::move(step));
  }

  /// Of a node of a slice, with where its values are stored.
  NodeCase stored_case(const Section& section, const ir::Node& whole, const ir::Node& node) const {
    NodeCase c = case_of_part(section, whole, node);
    if (whole.op() != ir::Op::Split) c.dst_pitch = storage_.pitch_of(whole.output());
    if (whole.op() != ir::Op::Concat) c.src_pitch = storage_.pitch_of(whole.input(0));
    if (whole.op() == ir::Op::Concat)
      for (const ir::Value* input : whole.inputs()) c.src_pitches.push_back(storage_.pitch_of(input));
    if (const auto found = storage_.placed.find(&whole); found != storage_.placed.end())
      c.placed = found->second;
    return c;
  }

  /// Where a step finds one of its values, in a band `rows` of it.
  Location location_of(const Section& section, const ir::Value* value, size_t band, const Rows& rows) const {
    Location at = storage_.at(value);
    if (!section.is_sliced() || at.kind == Location::Kind::constant) return at;
    if (section.is_banded()) {
      const auto held = storage_.held.find(value);
      at.offset =
          (rows.first - (held != storage_.held.end() ? held->second.rows[band].first : 0)) * row_bytes(value);
    }
    if (!storage_.of_slice.contains(value)) {
      const int64_t elements = elements_of(value->type.shape()) / section.count;
      at.slice_bytes = (at.pitch > 0 ? elements / value->type.dims[3].value * at.pitch : elements) *
                       bytes_of(value->type.dtype);
    }
    return at;
  }

  /// Of one of the second of its four axes.
  int64_t row_bytes(const ir::Value* value) const {
    const auto& dims = value->type.dims;
    const int64_t pitch = storage_.at(value).pitch;
    return dims[2].value * (pitch > 0 ? pitch : dims[3].value) * bytes_of(value->type.dtype);
  }

  /// What is kept in memory of the band before goes to where this one looks for it.
  std::vector<Move> moves_before(size_t band, const Section& section) const {
    std::map<int64_t, Move> moves;  // per piece of memory
    for (size_t k = section.first; band > 0 && k < section.end; ++k) {
      const ir::Value* value = order_[k]->output();
      const auto held = storage_.held.find(value);
      if (held == storage_.held.end()) continue;
      const auto& [begin, rows] = held->second;
      const Rows &before = rows[band - 1], &now = rows[band];
      const int64_t row = row_bytes(value), kept = before.end - now.first;
      if (kept > 0 && now.first > before.first)
        moves[begin] = {.from = begin + (now.first - before.first) * row, .to = begin, .bytes = kept * row};
    }
    std::vector<Move> list;
    for (const auto& [begin, move] : moves) list.push_back(move);
    return list;
  }

  Plan& plan_;
  const PlanOptions& options_;
  PackCache& packs_;
  ThreadPool& pool_;
  std::vector<ir::Node*> order_;
  const PlanKeys keys_;
  std::map<int64_t, std::vector<ir::Node*>> of_images_;
  std::map<size_t, std::vector<std::vector<Part>>> parts_;  // of the section that begins there: [band][step]
  Storage storage_;
};

}  // namespace

Result<std::shared_ptr<const Plan>> make_plan(ir::Graph graph, const PlanOptions& options, PackCache& packs,
                                              ThreadPool& pool) {
  NARROW_DO(check_static(graph));
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  NARROW_DO(Planner(*plan, options, packs, pool).make());
  return std::shared_ptr<const Plan>(std::move(plan));
}

}  // namespace narrow::runtime
