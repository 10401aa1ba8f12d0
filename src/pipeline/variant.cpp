#include "pipeline/variant.h"

#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/file.h"
#include "onnx/export.h"
#include "runtime/tactic_cache.h"
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

namespace {

/// The artifact with what this machine chose and packed.
Status write_native(const ir::Graph& graph, Json about, const fs::path& file, const Shapes& given,
                    TacticSource source, std::shared_ptr<ThreadPool> pool) {
  const Shapes shapes = given.empty() ? single(graph) : given;
  const int threads = pool->threads();
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, std::move(pool)));
  runtime::TacticCache cache(runtime::cache_folder(), usable_isa(), threads);
  Status planned = source == TacticSource::tuned ? session.tune(shapes, cache) : Status{};
  std::optional<artifact::EngineGraph> engine;
  if (planned.ok()) {
    auto image = session.engine_image(shapes);
    if (image.ok())
      engine = std::move(*image);
    else
      planned = image.error();
  }
  if (engine) engine->largest_share = 0.125;
  if (!planned.ok() && !given.empty())
    return planned;  // a guess may be wrong: nothing is chosen and packed then
  cache.save();
  if (const runtime::Tactics* tactics = session.tactics(); tactics != nullptr && !tactics->cases.empty())
    about["tactics"] = runtime::to_json(*tactics);
  return artifact::write(file, {.graph = graph.clone(),
                                .about = std::move(about),
                                .packed = session.packed_constants(),
                                .engine = std::move(engine)});
}

}  // namespace

Status write_variant(const ir::Graph& graph, const quant::Recipe& recipe, const Json& origin,
                     const fs::path& file, const Shapes& shapes, TacticSource tactics,
                     std::shared_ptr<ThreadPool> pool) {
  if (file.extension() == ".narrow")
    return write_native(graph, about(recipe, origin), file, shapes, tactics, std::move(pool));
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
                             const fs::path& folder, const Shapes& shapes, TacticSource tactics,
                             std::shared_ptr<ThreadPool> pool) {
  Variant variant;
  variant.name = to_string(recipe.precision);
  variant.recipe = std::move(recipe);
  const fs::path native = folder / (variant.name + ".narrow"), portable = folder / (variant.name + ".onnx");
  NARROW_DO(write_variant(graph, variant.recipe, origin, native, shapes, tactics, pool));
  NARROW_DO(write_variant(graph, variant.recipe, origin, portable, shapes, tactics, pool));
  NARROW_TRY(variant.file_bytes, size_of(native));
  NARROW_TRY(variant.onnx_bytes, size_of(portable));
  const Stopwatch watch;
  NARROW_TRY(runtime::Session session, runtime::Session::open(native, std::move(pool)));
  variant.load_ms = watch.milliseconds();
  variant.session = std::make_unique<runtime::Session>(std::move(session));
  return variant;
}

}  // namespace narrow::pipeline
