// Second moments of what a layer reads: all that rounding its weights by the error of its result needs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/layer_rows.h"
#include "tensor/tensor.h"

namespace narrow::quant {

/// Sums over the rows x of the original layer's data and x' of the quantized model's, of one group; r and r'
/// are what is added to the layer's results in each (a residual), where something is.
struct Moments {
  int64_t k = 0, n = 0, rows = 0;
  std::vector<double> quantized;       // [k, k]  sum x' x'^T, or empty: see worth_products
  std::vector<double> cross;           // [k, k]  sum x' x^T, or empty
  std::vector<double> mean_quantized;  // [k]     sum x' / rows, once finished
  std::vector<double> mean;            // [k]     sum x / rows
  std::vector<double> residual;        // [k, n]  sum x' (r - r')^T, or empty
  std::vector<double> mean_residual;   // [n]     sum (r - r') / rows, or empty
  bool has_products() const { return !quantized.empty(); }
};

/// Whether weights can be rounded by products of `k` inputs seen in `rows` rows: with 32 times as many inputs
/// as rows the damping that so few rows ask for (damping_for) leaves the nearest codes, and beyond 12288
/// inputs (4 GB on the way to a factor) nobody waits for the result. Where not, only means are gathered.
bool worth_products(int64_t k, int64_t rows);

/// Collects them batch by batch.
class MomentSums {
 public:
  /// `batches`: how many are expected. Rows are skipped evenly where all of them would take more than the
  /// moments are worth: their relative error falls with sqrt(k / rows).
  MomentSums(const ir::Node& node, int64_t batches) : node_(&node), batches_(batches) {}

  /// The node's data in both models, FP32, of equal shapes; `missing`: r - r', of the shape of the node's
  /// result, or undefined, in every call alike. Deterministic for any number of threads.
  void add(const Tensor& data, const Tensor& quantized, const Tensor& missing, ThreadPool& pool);

  /// Per group of the node. Nothing may be added afterwards.
  std::vector<Moments> finish();

 private:
  /// One batch: rows of the data in both models, and r - r' or null.
  struct Rows {
    const LayerRows& layer;
    const float *original, *quantized, *missing;
  };
  void start(const Shape& shape, bool has_residual);
  void add_small(const Rows& batch, ThreadPool& pool);
  void add_large(const Rows& batch, ThreadPool& pool);
  void add_means(const Rows& batch, ThreadPool& pool);
  std::vector<int64_t> taken(const LayerRows& rows) const;

  const ir::Node* node_;
  int64_t batches_, step_ = 1;
  bool products_ = true;
  std::vector<Moments> groups_;
};

}  // namespace narrow::quant
