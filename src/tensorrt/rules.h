// What TensorRT asks of an explicitly quantized ONNX file (QuantizeLinear and DequantizeLinear nodes),
// checked on narrow's graph, without TensorRT.
//
// Sources: NVIDIA TensorRT 10 documentation, "Working with Quantized Types" (symmetric s8, f8e4m3fn and s4,
// weights per channel, weight-only s4 in blocks) and operator pages "Quantize" and "Dequantize" (scales are
// build-time constants of the float side's type, zero points are 0); onnx-tensorrt, QuantDequantLinearHelper
// (what its parser refuses).
//
// clang-format off
//   rule             what it holds
//   format           quantization only as Q/DQ nodes: no QLinearConv, MatMulInteger, DynamicQuantizeLinear, ...
//   signed-int8      8-bit integers are s8
//   float8           8-bit floats are f8e4m3fn
//   type             integers and floats other than s8, s4, f8e4m3fn, f4e2m1 are not quantized types
//   symmetric        zero points are constants and 0
//   scale-constant   scales are constants
//   scale-value      scales are finite and positive
//   scale-type       scales are f32, f16 or bf16, the type of the float side
//   per-tensor       activations have one scale
//   weight-axis      weights have one scale, or one per index of the axis that is the result channel
//   blocks           blocks are for s4 and f4e2m1, along the axis that is summed over
//   weight-only      s4 is for constant weights of MatMul and Gemm, in blocks
//   pair             what QuantizeLinear makes, only DequantizeLinear reads; what that reads is made so or constant
//   weight-constant  Conv, ConvTranspose and Gemm take quantized weights from constants
//   float-bias       biases are not quantized
//   shape            sizes computed from Shape are not quantized
//   opset            scales along an axis from opset 13, f8e4m3fn and 16-bit scales 19, blocks and s4 21, f4e2m1 23
// clang-format on
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace narrow::tensorrt {

struct Violation {
  std::string node;  // "DequantizeLinear 'conv1.weight_dequantize'"
  std::string rule;  // a name of the table above
  std::string expected;
  std::string got;
  std::string remedy;  // what to do about it

  /// "node: expected E, got G (remedy)".
  std::string message() const;
};

/// The opset narrow writes (onnx/export.h).
constexpr int64_t kExportOpset = 21;

/// Every breach of a rule, in the order of nodes, subgraphs of If, Loop and Scan included; empty: TensorRT's
/// parser takes the quantization as it is. `opset` is the one the file has or will be written with. Types
/// must be inferred; integers as graph inputs and outputs are TensorRT's to judge and pass.
std::vector<Violation> check_rules(const ir::Graph& graph, int64_t opset = kExportOpset);

}  // namespace narrow::tensorrt
