#include "pipeline/model.h"

#include <array>

#include "ir/schema.h"
#include "onnx/import.h"
#include "runtime/reference/reference.h"

namespace narrow::pipeline {

Result<Model> load_model(const std::filesystem::path& path) {
  NARROW_TRY(onnx::ImportedModel imported, onnx::import_file(path));
  Model model{.graph = std::move(imported.graph),
              .hash = imported.hash,
              .file_bytes = imported.file_bytes,
              .passes = {}};
  model.graph.metadata["file"] = path.filename().string();
  const passes::PassContext context{.evaluate = runtime::reference::evaluate};
  NARROW_TRY(model.passes, passes::run_passes(model.graph, passes::portable_passes(), context));
  return model;
}

int64_t macs_of(const ir::Node& node) {
  const auto known = [](const ir::Value* v) { return v != nullptr && v->type.is_static(); };
  if (node.outputs().empty() || !known(node.output()) || !known(node.input(0)) || !known(node.input(1)))
    return 0;
  const int64_t results = elements_of(node.output()->type.shape());
  switch (node.op()) {
    case ir::Op::Conv:
    case ir::Op::FusedConv: {
      const Shape w = node.input(1)->type.shape();
      return w.empty() || w[0] == 0 ? 0 : results * (elements_of(w) / w[0]);
    }
    case ir::Op::Gemm:
      return results * node.input(0)->type.shape().at(node.int_attr("transA", 0) != 0 ? 0 : 1);
    case ir::Op::MatMul:
    case ir::Op::FusedMatMul: {
      const Shape a = node.input(0)->type.shape();
      return a.empty() ? 0 : results * a.back();
    }
    default:
      return 0;
  }
}

std::map<std::string, Shape> default_shapes(const ir::Graph& graph, int64_t batch, int64_t free) {
  std::map<std::string, Shape> shapes;
  for (const ir::Value* input : graph.inputs()) {
    Shape shape;
    for (size_t i = 0; i < input->type.dims.size(); ++i)
      shape.push_back(input->type.dims[i].known() ? input->type.dims[i].value : i == 0 ? batch : free);
    shapes[input->name] = shape;
  }
  return shapes;
}

ir::Graph bound_to_one_sample(const ir::Graph& graph) {
  ir::Graph bound = graph.clone();
  // Sizes that follow from shapes are constants now; without them some dimensions would stay unknown.
  const passes::PassContext context{.evaluate = runtime::reference::evaluate};
  const std::array fold = {*passes::find_pass("fold_constants")};
  if (!ir::bind_shapes(bound, default_shapes(graph, 1, 1)).ok() ||
      !passes::run_passes(bound, fold, context).ok())
    return graph.clone();
  return bound;
}

ModelSummary summarize(const ir::Graph& graph) {
  ModelSummary summary;
  summary.nodes = static_cast<int64_t>(graph.nodes().size());
  const ir::Graph bound = bound_to_one_sample(graph);
  for (const ir::Node* node : bound.nodes()) {
    const int64_t macs = macs_of(*node);
    summary.macs += macs;
    summary.layers += macs > 0 ? 1 : 0;
  }
  for (const ir::Value* value : graph.values())
    if (value->is_constant() && (is_float(value->type.dtype) || is_int8(value->type.dtype)))
      summary.parameters += value->constant().elements();
  return summary;
}

}  // namespace narrow::pipeline
