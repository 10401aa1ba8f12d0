// Rows that layers read while the FP32 model runs: what a choice of weights or scales is judged on.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::quant {

struct RowOptions {
  int64_t samples = 16;  // spread evenly over the data
  int64_t batch = 8;
  int64_t rows = 512;  // kept of each value, spread evenly over those seen
};

/// By ONNX name, [rows, channels]: rows along the last axis of values of `graph` (portable FP32). Values that
/// are not FP32, or were not computed, are absent. Deterministic. Errors: those of the data and of running
/// the model.
Result<std::map<std::string, Tensor>> sample_rows(const ir::Graph& graph, const std::set<std::string>& values,
                                                  const data::Dataset& dataset,
                                                  std::shared_ptr<ThreadPool> pool,
                                                  const RowOptions& options = {});

}  // namespace narrow::quant
