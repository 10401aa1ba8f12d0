#include "pipeline/model.h"

#include <algorithm>
#include <array>

#include "bench/work.h"
#include "ir/schema.h"
#include "onnx/import.h"
#include "runtime/reference/reference.h"

namespace narrow::pipeline {

namespace {
const passes::PassContext kContext{.evaluate = runtime::reference::evaluate};
}  // namespace

Result<Model> load_model(const std::filesystem::path& path) {
  NARROW_TRY(onnx::ImportedModel imported, onnx::import_file(path));
  Model model{.graph = std::move(imported.graph),
              .hash = imported.hash,
              .file_bytes = imported.file_bytes,
              .passes = {}};
  model.graph.metadata["file"] = path.filename().string();
  NARROW_TRY(model.passes, passes::run_passes(model.graph, passes::portable_passes(), kContext));
  return model;
}

namespace {

bool computes_in_halves(const ir::Graph& graph) {
  for (const ir::Node* node : graph.nodes())
    for (const ir::Value* output : node->outputs())
      if (node->op() != ir::Op::Cast &&
          (output->type.dtype == DType::f16 || output->type.dtype == DType::bf16))
        return true;
  return false;
}

bool is_quantized_op(ir::Op op) {
  const std::string_view name = ir::to_string(op);
  return name == "QuantizeLinear" || name == "QGemm" || name.starts_with("QLinear");
}

/// A node that multiplies integers whose scales are known at run time only: there is no float model inside.
const ir::Node* integer_product(const ir::Graph& graph) {
  for (const ir::Node* node : graph.nodes())
    if (node->op() == ir::Op::MatMulInteger || node->op() == ir::Op::ConvInteger) return node;
  return nullptr;
}

/// Codes and dequantized values stand for the values that were quantized, as in narrow's own files.
void share_origins(ir::Graph& graph) {
  for (const ir::Node* quantize : graph.nodes_of(ir::Op::QuantizeLinear)) {
    const ir::Value* real = quantize->input(0);
    const std::string& origin = real->origin.empty() ? real->name : real->origin;
    ir::Value* codes = quantize->output();
    codes->origin = origin, codes->origin_perm = real->origin_perm;
    for (const ir::Use& use : codes->uses())
      if (use.node->op() == ir::Op::DequantizeLinear && use.index == 0)
        use.node->output()->origin = origin, use.node->output()->origin_perm = real->origin_perm;
  }
}

Status transform(Model& model, std::span<const passes::Pass> list) {
  NARROW_TRY(const auto records, passes::run_passes(model.graph, list, kContext));
  model.passes.insert(model.passes.end(), records.begin(), records.end());
  return {};
}

}  // namespace

Result<Original> load_original(const std::filesystem::path& path) {
  Original original;
  NARROW_TRY(original.model, load_model(path));
  ir::Graph& graph = original.model.graph;
  if (const ir::Node* product = integer_product(graph))
    return Error{
        .code = Code::unsupported,
        .subject = path.string() + ": " + product->location(),
        .expected = "a float model, or one quantized with static scales",
        .got = "products of integers whose scales are computed at run time",
        .hint = "build from the model as it was before; `narrow run` and `bench` take this one as it is"};
  const std::vector<ir::Node*> nodes = graph.nodes();
  const bool halves = computes_in_halves(graph),
             quantized = std::any_of(nodes.begin(), nodes.end(),
                                     [](const ir::Node*node) { return is_quantized_op(node->op()); });
  if (!halves && !quantized) return original;
  NARROW_DO(transform(original.model, passes::given_passes()));
  if (halves)
    original.notes.emplace_back("the model computes in half precision: fp32 is that model widened, exactly");
  if (quantized) {
    share_origins(graph);
    original.given = graph.clone();
    original.notes.emplace_back(
        "the model is quantized already: int8 is that model with its own scales, fp32 the model without "
        "them");
    NARROW_TRY(original.pairs, pairs_left_in_float(*original.given));
    if (!original.pairs.floats.empty()) original.notes.push_back(original.pairs.summary());
  }
  NARROW_DO(transform(original.model, passes::original_passes()));
  return original;
}

std::map<std::string, Shape> default_shapes(const ir::Interface& model, int64_t batch, int64_t free) {
  // A symbol is one number wherever it stands: [batch, seq] beside a state [2, batch, 64].
  std::map<std::string, int64_t> numbers;
  for (const ir::Port& input : model.inputs)
    if (!input.type.dims.empty() && !input.type.dims[0].symbol.empty())
      numbers[input.type.dims[0].symbol] = batch;
  std::map<std::string, Shape> shapes;
  for (const ir::Port& input : model.inputs) {
    Shape shape;
    for (size_t i = 0; i < input.type.dims.size(); ++i) {
      const ir::Dim& dim = input.type.dims[i];
      const auto number = numbers.find(dim.symbol);
      shape.push_back(dim.known()                                      ? dim.value
                      : !dim.symbol.empty() && number != numbers.end() ? number->second
                      : i == 0                                         ? batch
                                                                       : free);
    }
    shapes[input.name] = shape;
  }
  return shapes;
}

ir::Graph bound_to_one_sample(const ir::Graph& graph) {
  ir::Graph bound = graph.clone();
  // Sizes that follow from shapes are constants now; without them some dimensions would stay unknown.
  const passes::PassContext context{.evaluate = runtime::reference::evaluate};
  const std::array fold = {*passes::find_pass("fold_constants")};
  if (!ir::bind_shapes(bound, default_shapes(ir::interface_of(graph), 1, 1)).ok() ||
      !passes::run_passes(bound, fold, context).ok())
    return graph.clone();
  return bound;
}

ModelSummary summarize(const ir::Graph& graph) {
  ModelSummary summary;
  summary.nodes = static_cast<int64_t>(graph.nodes().size());
  const ir::Graph bound = bound_to_one_sample(graph);
  for (const ir::Node* node : bound.nodes()) {
    const int64_t macs = bench::macs_of(*node);
    summary.macs = bench::add_counts(summary.macs, macs);
    summary.layers += macs > 0 ? 1 : 0;
  }
  for (const ir::Value* value : graph.values())
    if (value->is_constant() && (is_float(value->type.dtype) || is_int8(value->type.dtype)))
      summary.parameters += value->constant().elements();
  return summary;
}

}  // namespace narrow::pipeline
