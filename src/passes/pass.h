// Graph -> graph. Each pass is one function in a file of its own; the runner sorts, infers, verifies and
// times after it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::passes {

/// Computes a node's outputs from constant inputs (null for absent ones): how constant folding learns
/// arithmetic without knowing kernels. runtime::reference::evaluate is one.
using Evaluator =
    std::function<Result<std::vector<Tensor>>(const ir::Node& node, std::span<const Tensor* const> inputs)>;

struct PassContext {
  Evaluator evaluate;
  /// Groups of weights of at most so many bytes may become one dense product (fold_shuffle.cpp).
  int64_t dense_group_bytes = 2;
};

struct Pass {
  const char* name;
  const char* doc;  // one line
  /// Returns how many places changed.
  Result<int64_t> (*run)(ir::Graph& graph, const PassContext& context);
};

struct PassRecord {
  std::string name;
  int64_t changes = 0;
  double milliseconds = 0;
};

/// Runs `list` in order. After each pass that changed something: remove_dead, sort, infer_types, verify; a
/// graph that does not verify is an internal error naming the pass. Names in `disabled` are skipped.
Result<std::vector<PassRecord>> run_passes(ir::Graph& graph, std::span<const Pass> list,
                                           const PassContext& context,
                                           std::span<const std::string> disabled = {});

/// Standard ONNX in, standard ONNX out: what calibration, quantization and export see.
/// Folds and simplifies, fuses nothing.
std::span<const Pass> portable_passes();
/// Standard ONNX (with Q/DQ and casts) in, the engine's graph out: patterns recognised, everything fused,
/// integer regions formed, channels last. Wants bound (static) shapes.
std::span<const Pass> engine_passes();
/// The engine's layout and kernels without fusion: every value of the portable graph is still computed, under
/// its own origin. For calibration. Wants bound shapes.
std::span<const Pass> observable_passes();
/// A portable graph that is quantized already, or computes in halves: FP32 arithmetic and Q/DQ nodes only.
std::span<const Pass> given_passes();
/// After given_passes(): the FP32 original of such a model.
std::span<const Pass> original_passes();
/// Every pass there is, by name (for tests and --disable-pass).
const Pass* find_pass(std::string_view name);

}  // namespace narrow::passes
