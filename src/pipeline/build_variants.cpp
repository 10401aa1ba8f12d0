#include "pipeline/build_stages.h"

#include <fmt/format.h>

#include <algorithm>

#include "quant/apply.h"
#include "quant/given.h"
#include "verify/rescaled.h"

namespace narrow::pipeline {
namespace fs = std::filesystem;
using quant::NodeFormat;
using quant::Precision;

namespace {

bool has_bodies(const ir::Graph& graph) {
  for (const ir::Op op : {ir::Op::If, ir::Op::Loop, ir::Op::Scan})
    if (!graph.nodes_of(op).empty()) return true;
  return false;
}

bool narrows_anything(const quant::Recipe& recipe) {
  return !recipe.tables.empty() ||
         std::any_of(recipe.nodes.begin(), recipe.nodes.end(),
                     [](const auto& node) { return node.second.format != NodeFormat::fp32; });
}

Result<Quantized> recipe_for(BuildState& s, Precision precision) {
  if (precision == Precision::int8 && s.given) return Quantized{quant::given_recipe(*s.given), nullptr};
  return make_recipe({s.model.graph, &s.profile, s.calib.get()}, precision, quantize_options(s), s.pool,
                     s.wide, s.progress);
}

}  // namespace

QuantizeOptions quantize_options(const BuildState& s) {
  return {
      .plan = {.ranges = s.options.ranges, .target = s.options.target, .group_size = s.options.group_size},
      .methods = s.options.methods,
      .memory = s.options.memory};
}

Status make_builds(BuildState& s) {
  for (const Precision precision :
       {Precision::fp32, Precision::bf16, Precision::fp16, Precision::int8, Precision::w4a8,
        Precision::int8_dynamic, Precision::int8_weights, Precision::int4, Precision::int3, Precision::int2,
        Precision::ternary, Precision::binary}) {
    if (precision != Precision::fp32 && !s.wants(precision) &&
        !(precision == Precision::int8 && s.wants(Precision::mixed)))
      continue;
    report(s.progress, fmt::format("quantize {}", to_string(precision)), 0, 0);
    NARROW_TRY(Quantized quantized, recipe_for(s, precision));
    if (precision != Precision::fp32 && !narrows_anything(quantized.recipe)) {
      s.result.skipped.push_back(
          fmt::format("{}: nothing in this model would be narrower{}", to_string(precision),
                      has_bodies(s.model.graph) ? " (layers inside If, Loop and Scan stay fp32)" : ""));
      continue;
    }
    NARROW_DO(add_variant(s, std::move(quantized)));
  }
  return {};
}

Status add_variant(BuildState& s, Quantized quantized) {
  const Precision precision = quantized.recipe.precision;
  ir::Graph graph;
  if (precision == Precision::int8 && s.given) {
    graph = s.given->clone();
  } else {
    NARROW_TRY(graph, quant::apply(quantized.graph(s.model.graph), quantized.recipe));
    if (quantized.prepared != nullptr) verify::note_rescaled(graph, quantized.prepared->rescaled);
  }
  if (s.options.target == quant::Target::tensorrt) NARROW_DO(check_tensorrt(graph, to_string(precision)));
  NARROW_TRY(Variant variant, make_variant(graph, std::move(quantized.recipe), s.origin, s.folder, s.shapes,
                                           s.options.tactics, s.pool));
  variant.prepared = std::move(quantized.prepared);
  Build build;
  build.precision = precision;
  build.name = variant.name;
  build.recipe = variant.recipe;
  build.file_bytes = variant.file_bytes;
  build.onnx_bytes = variant.onnx_bytes;
  NARROW_TRY(build.ledger, artifact::read_ledger(s.folder / (variant.name + ".narrow")));
  build.findings = variant.recipe.notes;
  s.result.builds.push_back(std::move(build));
  s.variants.push_back(std::move(variant));
  return {};
}

void remove_files(BuildState& s, const std::string& name) {
  std::error_code ignored;
  fs::remove(s.folder / (name + ".narrow"), ignored);
  fs::remove(s.folder / (name + ".onnx"), ignored);
}

}  // namespace narrow::pipeline
