#include "runtime/choose.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/merged.h"

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
    if (input != nullptr && input->is_constant() && input->type.dtype == DType::bf16)
      return !has_bf16_products(isa);
  return false;
}

std::vector<std::pair<std::string, double>> merged_in(const ir::Node& node) {
  std::vector<std::pair<std::string, double>> layers;
  const ir::Node* split = ir::split_of_merged(node);
  if (split == nullptr) return layers;
  const auto channels = [](const ir::Value* value) {
    return static_cast<double>(value->type.dims.back().value);
  };
  const std::vector<std::string> names = ir::merged_layers(*split);
  for (size_t i = 0; i < names.size(); ++i)
    layers.emplace_back(names[i], channels(split->outputs()[i]) / channels(node.output()));
  return layers;
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
  const auto found = options.tactics->cases.find(case_key(c.timed != nullptr ? *c.timed : c.node));
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

/// Of a choice made once for a graph; empty where it was not timed.
Tactic choice_for_plan(const PlanOptions& options, const std::string& key) {
  if (options.tactics == nullptr) return {};
  const auto found = options.tactics->cases.find(key);
  return found == options.tactics->cases.end() ? Tactic() : found->second;
}

}  // namespace

StepChoice choice_of(const ir::Node& node, Isa isa) {
  StepChoice choice{.node = node.name,
                    .op = ir::to_string(node.op()),
                    .kernel = {},
                    .outputs = {},
                    .formats = formats_of(node),
                    .rejected = {},
                    .timed_us = {},
                    .emulated = is_emulated(node, isa),
                    .merged = merged_in(node)};
  for (const ir::Value* output : node.outputs()) choice.outputs.push_back(output->name);
  return choice;
}

const Implementation* preferred(const NodeCase& c, const PlanOptions& options) {
  StepChoice ignored;
  if (const Implementation* tactic = winner(c, options, ignored); tactic != nullptr) return tactic;
  for (const Implementation& candidate : implementations(c.node.op()))
    if (includes(options.isa, candidate.isa) && (!options.reference_only || candidate.name == "reference") &&
        candidate.unsupported(c).empty())
      return &candidate;
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

std::vector<Tactic> choices_for_plan(const PlanKeys& keys, const PlanOptions& options) {
  std::vector<Tactic> choices;
  for (const std::string& key : {keys.bands, keys.fetching, keys.merging})
    if (Tactic tactic = choice_for_plan(options, key); !tactic.empty()) choices.push_back(std::move(tactic));
  return choices;
}

bool takes_bands(const PlanKeys& keys, const PlanOptions& options) {
  const Tactic tactic = choice_for_plan(options, keys.bands);
  return tactic.empty() || tactic[0].kernel != kWholeImages;
}

bool fetches_ahead(const PlanKeys& keys, const PlanOptions& options) {
  const Tactic tactic = choice_for_plan(options, keys.fetching);
  return !tactic.empty() && tactic[0].kernel == kFetchedAhead;
}

bool takes_merging(const PlanKeys& keys, const PlanOptions& options) {
  const Tactic tactic = choice_for_plan(options, keys.merging);
  return !tactic.empty() && tactic[0].kernel == kMerged;
}

bool reads_and_writes_pitched(const NodeCase& c, const PlanOptions& options) {
  constexpr ir::Op kOps[] = {ir::Op::FusedConv, ir::Op::Concat, ir::Op::Split, ir::Op::Slice};
  if (options.reference_only || std::find(std::begin(kOps), std::end(kOps), c.node.op()) == std::end(kOps))
    return false;
  NodeCase dense = c;
  dense.src_pitch = dense.dst_pitch = 0;
  const Implementation* kernel = preferred(c, options);
  return kernel != nullptr && kernel->name != "reference" && kernel == preferred(dense, options);
}

}  // namespace narrow::runtime
