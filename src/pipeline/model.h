// A model on disk as the portable graph every step starts from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "ir/interface.h"
#include "passes/pass.h"
#include "pipeline/given_pairs.h"

namespace narrow::pipeline {

struct Model {
  ir::Graph graph;   // portable passes done
  std::string hash;  // of the file and its external data
  int64_t file_bytes = 0;
  std::vector<passes::PassRecord> passes;
};

Result<Model> load_model(const std::filesystem::path& path);

/// The FP32 model that builds are made from and judged against. `model.graph` is FP32: a model in FP16 or
/// BF16 is widened, Q/DQ nodes are taken out.
struct Original {
  Model model;
  /// The quantized model as it came, its scales untouched: what int8 is then. Values stand for those of
  /// `model.graph`.
  std::optional<ir::Graph> given;
  GivenPairs pairs;                // of `given`: its Q/DQ pairs, and which stay in FP32
  std::vector<std::string> notes;  // what a reader should know
};
/// Errors: as load_model(); unsupported for arithmetic on integers that has no float form.
Result<Original> load_original(const std::filesystem::path& path);

struct ModelSummary {
  int64_t nodes = 0;       // after the portable passes
  int64_t layers = 0;      // nodes with arithmetic in them
  int64_t parameters = 0;  // elements of float constants
  int64_t macs = 0;        // per sample; free dimensions taken as 1
};
ModelSummary summarize(const ir::Graph& graph);

/// A shape per input for planning: the first free dimension is `batch`, others `free`.
std::map<std::string, Shape> default_shapes(const ir::Interface& model, int64_t batch, int64_t free);
/// The graph with every free dimension 1, for counting; as it is when it cannot be bound so.
ir::Graph bound_to_one_sample(const ir::Graph& graph);

}  // namespace narrow::pipeline
