#include "pipeline/variant.h"

#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/file.h"
#include "onnx/export.h"
#include "tensorrt/rules.h"

namespace narrow::pipeline {
namespace fs = std::filesystem;

namespace {

Json about(const quant::Recipe& recipe, const Json& origin) {
  Json json = origin;
  json["precision"] = to_string(recipe.precision);
  json["recipe"] = to_json(recipe);
  return json;
}

/// One sample: every dimension that is free is 1.
Shapes single(const ir::Graph& graph) {
  Shapes shapes;
  for (const ir::Value* input : graph.inputs())
    for (const ir::Dim& dim : input->type.dims) shapes[input->name].push_back(dim.known() ? dim.value : 1);
  return shapes;
}

Result<int64_t> size_of(const fs::path& file) {
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  if (error)
    return Error{.code = Code::io,
                 .subject = file.string(),
                 .expected = "a file just written",
                 .got = error.message()};
  return static_cast<int64_t>(bytes);
}

}  // namespace

Status write_variant(const ir::Graph& graph, const quant::Recipe& recipe, const Json& origin,
                     const fs::path& file, const Shapes& shapes, std::shared_ptr<ThreadPool> pool) {
  if (file.extension() == ".narrow") {
    NARROW_TRY(runtime::Session session, runtime::Session::create(graph, std::move(pool)));
    const Status planned = session.prepare(shapes.empty() ? single(graph) : shapes);
    if (!planned.ok() && !shapes.empty()) return planned;  // a guess may be wrong: nothing is packed then
    return artifact::write(
        file, {.graph = graph.clone(), .about = about(recipe, origin), .packed = session.packed_constants()});
  }
  NARROW_TRY(const std::string bytes, onnx::export_bytes(graph));
  return write_file(file, bytes);
}

Status check_tensorrt(const ir::Graph& graph, const std::string& subject) {
  const std::vector<tensorrt::Violation> found = tensorrt::check_rules(graph);
  if (found.empty()) return {};
  const tensorrt::Violation& first = found.front();
  return Error{
      .code = Code::invalid_model,
      .subject = subject + ": " + first.node,
      .expected = first.expected,
      .got = first.got + (found.size() > 1 ? " (and " + std::to_string(found.size() - 1) + " more)" : ""),
      .hint = first.remedy};
}

Result<Variant> make_variant(const ir::Graph& graph, quant::Recipe recipe, const Json& origin,
                             const fs::path& folder, const Shapes& shapes, std::shared_ptr<ThreadPool> pool) {
  Variant variant;
  variant.name = to_string(recipe.precision);
  variant.recipe = std::move(recipe);
  const fs::path native = folder / (variant.name + ".narrow"), portable = folder / (variant.name + ".onnx");
  NARROW_DO(write_variant(graph, variant.recipe, origin, native, shapes, pool));
  NARROW_DO(write_variant(graph, variant.recipe, origin, portable, shapes, pool));
  NARROW_TRY(variant.file_bytes, size_of(native));
  NARROW_TRY(variant.onnx_bytes, size_of(portable));
  const Stopwatch watch;
  NARROW_TRY(runtime::Session session, runtime::Session::open(native, std::move(pool)));
  variant.load_ms = watch.milliseconds();
  variant.session = std::make_unique<runtime::Session>(std::move(session));
  return variant;
}

}  // namespace narrow::pipeline
