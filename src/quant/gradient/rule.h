// How a gradient passes a node: one rule per operator of the engine's unfused graphs
// (passes::observable_passes).
#pragma once

#include <functional>
#include <span>
#include <string>

#include "base/cpu.h"
#include "base/result.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"

namespace narrow::quant::gradient {

/// What a rule sees of a node when the way back passes it. All types are static, gradients f32 and dense.
struct BackwardBuffers {
  std::span<const void* const> x;    // inputs; null: absent
  std::span<const void* const> y;    // outputs
  std::span<const float* const> dy;  // dL/dy
  std::span<float* const> dx;        // written: dL/dx; null: nobody wants it
};
/// Sums do not depend on the number of threads.
using Backward = std::function<void(const BackwardBuffers&, ThreadPool&)>;

struct RuleCase {
  const ir::Node& node;
  Isa isa;
  int threads;

  Shape shape(int input) const { return node.input(input)->type.shape(); }
  Shape result_shape(int output = 0) const { return node.output(output)->type.shape(); }
  int64_t elements(int input) const { return elements_of(shape(input)); }
  /// Null where the input is absent or computed.
  const Tensor* constant(int input) const {
    const ir::Value* value = node.input(input);
    return value != nullptr && value->is_constant() ? &value->constant() : nullptr;
  }
};

/// Errors: unsupported, naming the node and what of it has no rule.
Error no_rule(const ir::Node& node, std::string expected, std::string got);
using MakeRule = Result<Backward> (*)(const RuleCase&);

/// Null: the operator has no rule.
MakeRule find_rule(ir::Op op);

/// A product forward with weights that change from call to call (a constant as far as the graph knows).
using Forward = std::function<void(std::span<const void* const> x, void* y, ThreadPool&)>;
Result<Forward> fresh_product(const RuleCase& c);

// By file.
Result<Backward> conv_rule(const RuleCase& c);  // product_rules.cpp
Result<Backward> constant_matmul_rule(const RuleCase& c);
Result<Backward> matmul_rule(const RuleCase& c);
Result<Backward> unary_rule(const RuleCase& c);     // unary.cpp
Result<Backward> copy_rule(const RuleCase& c);      // movement.cpp: Reshape and the like
Result<Backward> movement_rule(const RuleCase& c);  // whatever only moves elements
Result<Backward> transpose_rule(const RuleCase& c);
Result<Backward> sum_rule(const RuleCase& c);  // binary.cpp
Result<Backward> mul_rule(const RuleCase& c);
Result<Backward> div_rule(const RuleCase& c);
Result<Backward> pow_rule(const RuleCase& c);
Result<Backward> extremum_rule(const RuleCase& c);
Result<Backward> prelu_rule(const RuleCase& c);
Result<Backward> where_rule(const RuleCase& c);
Result<Backward> reduce_rule(const RuleCase& c);  // reduce.cpp
Result<Backward> softmax_rule(const RuleCase& c);
Result<Backward> norm_rule(const RuleCase& c);      // norm.cpp: LayerNormalization, RMSNormalization
Result<Backward> pool_rule(const RuleCase& c);      // pool.cpp
Result<Backward> quantize_rule(const RuleCase& c);  // straight through (quantize.cpp)
Result<Backward> dequantize_rule(const RuleCase& c);

}  // namespace narrow::quant::gradient
