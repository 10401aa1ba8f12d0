// For tests: one node with its inputs, evaluated by the reference.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/reference/reference.h"

namespace narrow::runtime::reference::testing_ops {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;

inline Tensor f32(Shape shape, const Floats& values) { return Tensor::of(std::move(shape), values); }
inline Tensor s64(const Ints& values) { return Tensor::of({static_cast<int64_t>(values.size())}, values); }

struct OpCase {
  std::string name;
  ir::Op op;
  std::vector<Tensor> inputs;  // an undefined tensor is an absent input
  ir::Attributes attrs;
  Tensor expected;  // of output 0
};

/// Evaluates the op; the outputs have no inferred types, as in a graph under construction.
inline Result<std::vector<Tensor>> evaluate_op(ir::Op op, const std::vector<Tensor>& inputs,
                                               const ir::Attributes& attrs = {}, int outputs = 1) {
  ir::Graph graph;
  std::vector<ir::Value*> values;
  std::vector<const Tensor*> tensors;
  for (const Tensor& t : inputs) {
    values.push_back(t.defined() ? graph.add_input("x", ir::TensorType::of(t.dtype(), t.shape())) : nullptr);
    tensors.push_back(t.defined() ? &t : nullptr);
  }
  const std::vector<std::string> names(static_cast<size_t>(outputs), "y");
  return evaluate(*graph.add_node(op, values, names, attrs), tensors);
}

/// Integers and booleans equal; floats within 4 rounding steps of f32 (the references round once, exp and the
/// like may add the library's own error).
inline void expect_same(const Tensor& got, const Tensor& expected) {
  ASSERT_EQ(got.dtype(), expected.dtype());
  ASSERT_EQ(got.shape(), expected.shape());
  if (!is_float(got.dtype())) {
    EXPECT_EQ(to_ints(got), to_ints(expected));
    return;
  }
  const Floats a = to_floats(got), b = to_floats(expected);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_FLOAT_EQ(a[i], b[i]) << "element " << i;
}

class OpTest : public testing::TestWithParam<OpCase> {};

inline std::string case_name(const testing::TestParamInfo<OpCase>& info) {
  return std::string(ir::to_string(info.param.op)) + "_" + info.param.name;
}

}  // namespace narrow::runtime::reference::testing_ops
