#include <fmt/format.h>

#include "artifact/artifact.h"
#include "base/cpu.h"
#include "base/json_text.h"
#include "bench/work.h"
#include "cli/command.h"
#include "cli/table.h"
#include "ir/schema.h"
#include "ir/text.h"
#include "pipeline/model.h"
#include "quant/regions.h"
#include "tensorrt/rules.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model;
  bool layers = false, graph = false, tensorrt = false;
};

/// Why a node would not compute in int8; empty when it would.
std::string why_not_int8(const ir::Node& node, const quant::IntegerRegions& regions) {
  if (regions.nodes.contains(&node)) return "";
  if (quant::is_heavy(node)) return "no integer input";
  switch (node.op()) {
    case ir::Op::Conv:
    case ir::Op::Gemm:
    case ir::Op::MatMul:
      return "weights are not constant or not 2-D";
    case ir::Op::Shape:
    case ir::Op::Constant:
      return "no data";
    default:
      break;
  }
  if (node.output()->type.dtype != DType::f32) return "not float data";
  return "no integer kernel, or its result does not reach another layer: FP32";
}

Result<ir::Graph> load(const std::string& path, Json& about) {
  if (artifact::is_artifact(path)) {
    NARROW_TRY(artifact::Opened file, artifact::read(path));
    about = std::move(file.about);
    return file.portable();
  }
  NARROW_TRY(pipeline::Model model, pipeline::load_model(path));
  about = {{"hash", model.hash}, {"bytes", model.file_bytes}};
  return std::move(model.graph);
}

/// The Q/DQ pairs of a model that came quantized; none of one that did not, or has no float form.
pipeline::GivenPairs pairs_of(const std::string& path) {
  if (artifact::is_artifact(path)) return {};
  Result<pipeline::Original> original = pipeline::load_original(path);
  return original.ok() ? std::move(original->pairs) : pipeline::GivenPairs{};
}

std::string pairs_text(const pipeline::GivenPairs& pairs) {
  std::string text =
      fmt::format("quantized already: {} Q/DQ pairs, {} stay in FP32\n", pairs.total, pairs.staying());
  if (pairs.floats.empty()) return text;
  std::vector<std::vector<std::string>> rows;
  for (const pipeline::FloatPair& pair : pairs.floats)
    rows.push_back({pair.quantize.empty() ? "(constant)" : pair.quantize, pair.dequantize, pair.reader,
                    pair.op, pair.reason});
  return text + "\n" +
         table({"quantize", "dequantize", "read by", "op", "why not integers"}, rows,
               {false, false, false, false, false}) +
         "\n";
}

Result<int> run(const Options& o) {
  Json about;
  NARROW_TRY(ir::Graph graph, load(o.model, about));
  const pipeline::ModelSummary s = pipeline::summarize(graph);
  const ir::Graph bound = pipeline::bound_to_one_sample(graph);
  const quant::IntegerRegions regions = quant::integer_regions(bound, {});
  std::vector<std::vector<std::string>> rows;
  Json layers = Json::array(), inputs = Json::array(), outputs = Json::array();
  int64_t integer = 0;
  for (const ir::Node* node : bound.nodes()) {
    const int64_t macs = bench::macs_of(*node);
    const std::string reason = why_not_int8(*node, regions);
    integer += reason.empty() ? 1 : 0;
    int64_t parameters = 0;
    for (const ir::Value* input : node->inputs())
      if (input != nullptr && input->is_constant()) parameters += input->constant().elements();
    rows.push_back({node->name, ir::to_string(node->op()), ir::to_string(node->output()->type),
                    fmt::format("{}", parameters), fmt::format("{:.2f}", static_cast<double>(macs) / 1e6),
                    reason.empty() ? "yes" : reason});
    layers.push_back({{"node", node->name},
                      {"op", ir::to_string(node->op())},
                      {"type", ir::to_string(node->output()->type)},
                      {"parameters", parameters},
                      {"macs", macs},
                      {"int8", reason.empty()},
                      {"reason", reason}});
  }
  std::string text =
      fmt::format("{} nodes · {} layers with arithmetic · {} parameters · {} MACs a sample\n",
                  bound.nodes().size(), s.layers, count_text(s.parameters), count_text(s.macs));
  for (const ir::Value* input : graph.inputs()) {
    text += fmt::format("input   {}: {}\n", input->name, ir::to_string(input->type));
    inputs.push_back({{"name", input->name}, {"type", ir::to_string(input->type)}});
  }
  for (const ir::GraphOutput& output : graph.outputs()) {
    text += fmt::format("output  {}: {}\n", output.name, ir::to_string(output.value->type));
    outputs.push_back({{"name", output.name}, {"type", ir::to_string(output.value->type)}});
  }
  const pipeline::GivenPairs pairs = pairs_of(o.model);
  if (pairs.total > 0) text += pairs_text(pairs);
  if (const std::string precision = text_member(about, "precision"); !precision.empty())
    text += fmt::format("precision {}\n", precision);
  else if (pairs.total == 0)
    text += fmt::format(
        "int8 would run {} of {} nodes in integers (--layers says which, and why not the others)\n", integer,
        bound.nodes().size());
  if (o.layers)
    text += "\n" + table({"node", "op", "result", "parameters", "MMAC", "int8"}, rows,
                         {false, false, false, true, true, false});
  if (o.graph) text += "\n" + ir::print(graph);
  Json violations = Json::array();
  if (o.tensorrt) {
    const std::vector<tensorrt::Violation> found = tensorrt::check_rules(graph);
    for (const tensorrt::Violation& v : found) {
      text += v.rule + ": " + v.message() + "\n";
      violations.push_back({{"rule", v.rule},
                            {"node", v.node},
                            {"expected", v.expected},
                            {"got", v.got},
                            {"remedy", v.remedy}});
    }
    if (found.empty()) text += "TensorRT's rules of explicit quantization hold\n";
  }
  print_text(o.common, text);
  Json json = {{"inputs", inputs},
               {"outputs", outputs},
               {"nodes", bound.nodes().size()},
               {"layers_with_arithmetic", s.layers},
               {"parameters", s.parameters},
               {"macs", s.macs},
               {"about", about},
               {"layers", layers},
               {"tensorrt_violations", violations}};
  if (pairs.total > 0) json["given_pairs"] = to_json(pairs);
  print_json(o.common, json);
  return kDone;
}

}  // namespace

Command add_inspect(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app =
      root.add_subcommand("inspect", "layers, shapes, parameters, MACs; what would quantize and why not");
  app->add_option("MODEL", o->model, ".onnx or .narrow file")->required();
  app->add_flag("--tensorrt", o->tensorrt,
                "what breaks TensorRT's rules of explicit quantization, and the remedy");
  app->add_flag("--layers", o->layers, "a line per node");
  app->add_flag("--graph", o->graph, "the graph in text form");
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
