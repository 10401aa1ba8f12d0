// ONNX file -> ir::Graph.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::onnx {

struct ImportOptions {
  /// Reject NaN and Inf in float initializers of more than one element (masks of -inf are scalars or flagged
  /// by use).
  bool check_finite = true;
};

struct ImportedModel {
  ir::Graph graph;
  std::string hash;        // of the model file and its external data
  int64_t file_bytes = 0;  // external data included
};

/// Reads opsets 7 to 28, rewrites every node to the newest form of its op, inlines model-local functions,
/// borrows external data from mapped files (no path may leave the model's folder), infers types. Errors:
/// not_found, io, invalid_model (names the node), unsupported (names node, op and opset).
Result<ImportedModel> import_file(const std::filesystem::path& path, const ImportOptions& options = {});
/// The same from memory; `folder` is where external data may lie.
Result<ImportedModel> import_bytes(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                                   const ImportOptions& options = {});

}  // namespace narrow::onnx
