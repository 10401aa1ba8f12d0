// Data scaled row by row at run time, in standard ONNX.
//
//   s = max(max |x| / 127, tiny) per row,  q = round(x / s) + 128
//
// QuantizeLinear has scale 1 and zero point 128 and sees the divided data. A row is what is multiplied with
// the weights as one: the last axis of a product, a sample of a convolution.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "ir/graph.h"

namespace narrow::quant {

/// Data as integers and what to multiply a result with.
struct Rows {
  ir::Value* real = nullptr;   // behind its DequantizeLinear: x / s, rounded
  ir::Value* scale = nullptr;  // s, keeps the rank: [..., 1], [N,1,1,1]
};

class DynamicRows {
 public:
  explicit DynamicRows(ir::Graph& graph) : graph_(graph) {}

  /// Made once for all readers of a value.
  const Rows& of(ir::Value* x, bool whole_samples);

 private:
  ir::Value* scalar(const std::string& name, float number);
  ir::Value* node(ir::Op op, std::vector<ir::Value*> inputs, const std::string& name,
                  ir::Attributes attrs = {});
  Rows make(ir::Value* x, bool whole_samples);

  ir::Graph& graph_;
  std::map<std::pair<ir::Value*, bool>, Rows> made_;
};

/// The same of numbers in memory: each row rounded in its own scale.
void round_rows(float* x, int64_t rows, int64_t length);

}  // namespace narrow::quant
