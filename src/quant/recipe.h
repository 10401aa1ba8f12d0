// Which format every layer runs in, and the scales of what is stored as integers: the plan quantization
// follows.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "numerics/quantization.h"
#include "quant/code_steps.h"
#include "quant/groups.h"
#include "tensor/dtype.h"

namespace narrow::quant {

/// w4a8: int8 whose weights are stored in 4 bits where enough of them are summed.
enum class Precision : uint8_t {
  fp32,
  fp16,
  bf16,
  int8,
  mixed,
  int8_dynamic,
  int4,
  int3,
  int2,
  w4a8,
  int8_weights,
  ternary,
  binary
};

const char* to_string(Precision precision);
std::optional<Precision> parse_precision(std::string_view name);

/// The format a node computes in. Nodes that are not listed in a recipe compute in FP32. int8_dynamic: its
/// data is scaled row by row at run time. w4a8: int8 with weights stored in 4 bits. int4, int3, int2,
/// int8_weights, ternary, binary: its weights are stored so, it computes in FP32.
enum class NodeFormat : uint8_t {
  fp32,
  fp16,
  bf16,
  int8,
  int8_dynamic,
  int4,
  int3,
  int2,
  w4a8,
  int8_weights,
  ternary,
  binary
};
const char* to_string(NodeFormat format);
/// On stored bytes: int8 and w4a8.
inline bool computes_in_bytes(NodeFormat format) {
  return format == NodeFormat::int8 || format == NodeFormat::w4a8;
}
/// A format that stores weights in groups and computes in FP32.
struct GroupFormat {
  Precision precision;
  NodeFormat format;
  int bits;
  CodeSet set = CodeSet::integers;
};
/// Null for other formats.
const GroupFormat* group_format(NodeFormat format);
const GroupFormat* group_format(Precision precision);
/// That of weights with these options.
const GroupFormat& group_format(const GroupOptions& options);
inline bool is_weight_only(NodeFormat format) { return group_format(format) != nullptr; }
inline bool is_weight_only(Precision precision) { return group_format(precision) != nullptr; }

struct NodeChoice {
  NodeFormat format = NodeFormat::fp32;
  std::string reason;  // why it is not narrower; empty when it is as narrow as the precision asks
};

/// Whose rules a file obeys. tensorrt: s8 activations with zero point 0, biases in FP32, no integers but
/// between QuantizeLinear and DequantizeLinear (tensorrt/rules.h).
enum class Target : uint8_t { portable, tensorrt };

/// How many of a layer's weights were made zero.
struct PrunedWeights {
  int64_t weights = 0, zeros = 0;
};

struct Recipe {
  Precision precision = Precision::fp32;
  Target target = Target::portable;
  std::map<std::string, NodeChoice> nodes;  // by the name of the node's first output
  /// Values stored as u8 (for TensorRT s8): one scale and zero point each, by value name.
  std::map<std::string, Quantization> activations;
  /// Heavy nodes' weights, by the name of the node's first output: s8, zero points 0, axis 0 of the result
  /// channel.
  std::map<std::string, Quantization> weights;
  /// Those of `weights` that are stored in 4 bits, and how their codes (`codes` has them) are made of these.
  std::map<std::string, CodeSteps> four_bit;
  /// Codes (s8, the weights' shape) of `weights` where they are not the nearest: by the node's first output.
  std::map<std::string, Tensor> codes;
  /// Large tables that a Gather takes rows of, by the name of the Gather's output: s8, zero points 0, one
  /// scale per column. The rows are dequantized after they were taken.
  std::map<std::string, Quantization> tables;
  /// Weights of weight-only nodes as they are stored, by the name of the node's first output.
  std::map<std::string, GroupedWeights> groups;
  /// Added to a heavy node's bias (result channels), by the name of the node's first output: what the
  /// rounding of its weights would shift the mean of its result by, taken back.
  std::map<std::string, std::vector<float>> bias_corrections;
  /// Layers whose weights the graph holds with zeros that must stay (prune.h), by the node's first output.
  std::map<std::string, PrunedWeights> pruned;
  /// Things a reader should know: layers widened by the range audit, bias scales raised, ...
  std::vector<std::string> notes;
};

/// Weights that are stored in few bits, what they take with their scales and zero points, and how many of
/// them stand apart (at 24 bits, counted as well).
struct StoredWeights {
  int64_t weights = 0, bits = 0, apart = 0;
  double bits_per_weight() const;  // 0 without weights
};
/// Of all layers in `recipe.groups`, those in int8 among them; of w4a8 all heavy layers in integers.
StoredWeights stored_weights(const Recipe& recipe);

Json to_json(const Recipe& recipe);

}  // namespace narrow::quant
