#include "runtime/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/memory_plan.h"
#include "runtime/storage.h"

namespace narrow::runtime {
namespace {

std::vector<std::string> formats_of(const ir::Node& node) {
  std::vector<std::string> formats;
  for (const ir::Value* output : node.outputs()) formats.emplace_back(to_string(output->type.dtype));
  return formats;
}

/// Formats this machine has no arithmetic for: they are widened on load.
bool is_emulated(const ir::Node& node, Isa isa) {
  for (const ir::Value* input : node.inputs())
    if (input != nullptr && input->is_constant() && input->type.dtype == DType::bf16) return isa < Isa::amx;
  return false;
}

Error no_kernel(const ir::Node& node, const StepChoice& choice) {
  std::string types, reasons;
  for (const ir::Value* input : node.inputs())
    types += (types.empty() ? "" : ", ") + (input != nullptr ? ir::to_string(input->type) : "-");
  for (const auto& rejected : choice.rejected)
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", rejected.kernel, rejected.reason);
  return {.code = Code::unsupported,
          .subject = node.location(),
          .expected = "an op and types some kernel runs",
          .got = fmt::format("{}({}){}", ir::to_string(node.op()), types,
                             reasons.empty() ? "" : " [" + reasons + "]")};
}

/// The kernel that won on this machine, when it can still run the node; the others and their times are
/// rejected.
const Implementation* winner(const NodeCase& c, const PlanOptions& options, StepChoice& choice) {
  if (options.tactics == nullptr || options.reference_only) return nullptr;
  const auto found = options.tactics->cases.find(case_key(c.node));
  if (found == options.tactics->cases.end() || found->second.empty()) return nullptr;
  const Tactic& tactic = found->second;
  for (const Implementation& candidate : implementations(c.node.op())) {
    if (candidate.name != tactic[0].kernel) continue;
    if (!includes(options.isa, candidate.isa) || !candidate.unsupported(c).empty()) return nullptr;
    for (size_t i = 1; i < tactic.size(); ++i)
      choice.rejected.push_back(
          {tactic[i].kernel, fmt::format("takes {:.1f} us, {} {:.1f}", tactic[i].microseconds,
                                         tactic[0].kernel, tactic[0].microseconds)});
    choice.timed_us = tactic[0].microseconds;
    return &candidate;
  }
  return nullptr;
}

Result<std::unique_ptr<Kernel>> choose(const NodeCase& c, const PlanOptions& options, StepChoice& choice) {
  if (const Implementation* tactic = winner(c, options, choice); tactic != nullptr) {
    choice.kernel = tactic->name;
    return tactic->create(c);
  }
  for (const Implementation& candidate : implementations(c.node.op())) {
    std::string reason;
    if (!includes(options.isa, candidate.isa))
      reason = fmt::format("needs {}", to_string(candidate.isa));
    else if (options.reference_only && candidate.name != "reference")
      reason = "only the reference is wanted";
    else
      reason = candidate.unsupported(c);
    if (!reason.empty()) {
      choice.rejected.push_back({candidate.name, reason});
      continue;
    }
    choice.kernel = candidate.name;
    return candidate.create(c);
  }
  return no_kernel(c.node, choice);
}

/// A vector kernel, or a plain one where there is nothing better.
bool has_kernel(const NodeCase& c) {
  for (const Implementation& candidate : implementations(c.node.op()))
    if (includes(c.isa, candidate.isa) && candidate.name != "reference" && candidate.unsupported(c).empty())
      return candidate.isa >= Isa::avx2 || c.isa == Isa::plain;
  return false;
}

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

/// The nodes steps are made of: of sliced sections, those of a copy of the graph for that many images.
std::vector<const ir::Node*> nodes_to_run(Plan& plan, const std::vector<ir::Node*>& order) {
  std::vector<const ir::Node*> nodes(order.begin(), order.end());
  plan.of_slice.clear();
  std::map<int64_t, std::vector<ir::Node*>> of_images;
  for (const Section& section : plan.sections) {
    if (!section.is_sliced()) continue;
    const auto [it, fresh] = of_images.try_emplace(section.images);
    if (fresh) {
      plan.of_slice.push_back(slice_graph(plan.graph, plan.sections, section.images));
      it->second = plan.of_slice.back().nodes();
    }
    for (size_t k = section.first; k < section.end; ++k) nodes[k] = it->second.at(k);
  }
  return nodes;
}

/// The kernel a node gets by tactics or the order of the table; null: none.
const Implementation* preferred(const NodeCase& c, const PlanOptions& options) {
  StepChoice ignored;
  if (const Implementation* tactic = winner(c, options, ignored); tactic != nullptr) return tactic;
  for (const Implementation& candidate : implementations(c.node.op()))
    if (includes(options.isa, candidate.isa) && (!options.reference_only || candidate.name == "reference") &&
        candidate.unsupported(c).empty())
      return &candidate;
  return nullptr;
}

/// Where sums round, slices keep the kernel of the whole batch, so that no bit depends on how it is sliced:
/// sections in which that one does not take a slice run whole.
void keep_kernels(Plan& plan, const std::vector<ir::Node*>& order, const PlanOptions& options,
                  PackCache& packs) {
  const std::vector<const ir::Node*> nodes = nodes_to_run(plan, order);
  for (Section& section : plan.sections)
    for (size_t k = section.first; k < section.end && section.is_sliced(); ++k) {
      if (!has_float_result(*order[k])) continue;
      const auto choice = [&](const ir::Node& node) {
        return preferred({.node = node, .isa = options.isa, .threads = options.threads, .packs = &packs},
                         options);
      };
      if (choice(*order[k]) == choice(*nodes[k])) continue;
      section.images *= section.count;
      section.count = 1;
    }
}

StepChoice choice_of(const ir::Node& node, Isa isa, int64_t slices) {
  StepChoice choice{.node = node.name,
                    .op = ir::to_string(node.op()),
                    .kernel = {},
                    .outputs = {},
                    .formats = formats_of(node),
                    .rejected = {},
                    .timed_us = {},
                    .emulated = is_emulated(node, isa),
                    .slices = slices};
  for (const ir::Value* output : node.outputs()) choice.outputs.push_back(output->name);
  return choice;
}

/// Where a step finds one of its values. `value` is the whole graph's, `type` what the step sees of it.
Location location_of(const Storage& storage, const Section& section, const ir::Value* value,
                     const ir::TensorType& type) {
  Location at = storage.at(value);
  const bool moves = section.is_sliced() && at.kind != Location::Kind::constant;
  if (moves && !storage.of_slice.contains(value)) {
    const int64_t elements = elements_of(type.shape());
    at.slice_bytes =
        (at.pitch > 0 ? elements / type.dims[3].value * at.pitch : elements) * bytes_of(type.dtype);
  }
  return at;
}

}  // namespace

Result<std::shared_ptr<const Plan>> make_plan(ir::Graph graph, const PlanOptions& options, PackCache& packs) {
  NARROW_DO(check_static(graph));
  auto plan = std::make_shared<Plan>();
  plan->graph = std::move(graph);
  const std::vector<ir::Node*> order = plan->graph.nodes();
  plan->sections = plan_slices(plan->graph, order, options.slices, options.threads);
  keep_kernels(*plan, order, options, packs);
  const CanPitch can_pitch = [&](const ir::Node& node, int64_t pitch) {
    const NodeCase c{
        .node = node, .isa = options.isa, .threads = options.threads, .packs = &packs, .dst_pitch = pitch};
    return !options.reference_only && node.op() == ir::Op::FusedConv && has_kernel(c);
  };
  const Storage storage = assign_storage(plan->graph, order, plan->sections, can_pitch);
  const std::vector<const ir::Node*> nodes = nodes_to_run(*plan, order);
  for (const Section& section : plan->sections)
    for (size_t k = section.first; k < section.end; ++k) {
      const ir::Node &whole = *order[k], &node = *nodes[k];
      StepChoice choice = choice_of(node, options.isa, section.count);
      std::unique_ptr<Kernel> kernel;
      if (storage.is_alias(whole)) {
        choice.kernel = "alias";
      } else {
        const NodeCase c{.node = node,
                         .isa = options.isa,
                         .threads = options.threads,
                         .packs = &packs,
                         .dst_pitch = storage.at(whole.output()).pitch};
        NARROW_TRY(kernel, choose(c, options, choice));
        plan->scratch_bytes = std::max(plan->scratch_bytes, kernel->scratch_bytes());
        plan->info.weight_bytes += kernel->packed_bytes();
      }
      Step step{.node = &node, .kernel = std::move(kernel), .inputs = {}, .outputs = {}};
      for (size_t i = 0; i < node.inputs().size(); ++i) {
        const bool read =
            node.inputs()[i] != nullptr && (!step.kernel || step.kernel->reads(static_cast<int>(i)));
        step.inputs.push_back(read ? location_of(storage, section, whole.inputs()[i], node.inputs()[i]->type)
                                   : Location{.kind = Location::Kind::constant});
      }
      for (size_t i = 0; i < node.outputs().size(); ++i)
        step.outputs.push_back(location_of(storage, section, whole.outputs()[i], node.outputs()[i]->type));
      plan->steps.push_back(std::move(step));
      plan->info.steps.push_back(std::move(choice));
    }
  plan->copies = storage.copies;
  plan->arena_bytes = storage.arena_bytes;
  plan->info.arena_bytes = storage.arena_bytes;
  plan->info.arena_lower_bound = storage.lower_bound;
  return std::shared_ptr<const Plan>(std::move(plan));
}

}  // namespace narrow::runtime
