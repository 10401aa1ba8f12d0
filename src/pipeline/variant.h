// One precision of a model: its graph, its two files, and a session on the file that will be shipped.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "ir/graph.h"
#include "pipeline/preparation.h"
#include "quant/recipe.h"
#include "runtime/session.h"

namespace narrow::pipeline {

struct Variant {
  std::string name;
  quant::Recipe recipe;
  std::shared_ptr<const Prepared> prepared;  // what the recipe is for; null: the original
  std::unique_ptr<runtime::Session> session;
  double load_ms = 0;  // opening the .narrow file
  int64_t file_bytes = 0, onnx_bytes = 0;
};

/// Error invalid_model with the first breach of TensorRT's rules (tensorrt/rules.h) and their number.
Status check_tensorrt(const ir::Graph& graph, const std::string& subject);

/// Where tactics come from: measured here, or the order of the kernels' tables (the same file every time).
enum class TacticSource { tuned, pinned };

/// Input shapes a build is packed for (empty: one sample of the graph's own); weights are packed alike for
/// other sizes wherever the same kernels serve.
using Shapes = std::map<std::string, Shape>;

/// Writes the graph that the recipe made as FOLDER/NAME.narrow and FOLDER/NAME.onnx, opens the former.
Result<Variant> make_variant(const ir::Graph& graph, quant::Recipe recipe, const Json& origin,
                             const std::filesystem::path& folder, const Shapes& shapes, TacticSource tactics,
                             std::shared_ptr<ThreadPool> pool);

/// The two files alone, or one of them: what `narrow quantize` writes. The suffix of `file` says which.
Status write_variant(const ir::Graph& graph, const quant::Recipe& recipe, const Json& origin,
                     const std::filesystem::path& file, const Shapes& shapes, TacticSource tactics,
                     std::shared_ptr<ThreadPool> pool);

}  // namespace narrow::pipeline
