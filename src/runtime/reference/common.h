// What the op families of the reference share: errors that name the node, checked allocation, axes, index
// walks.
//
// An op is a function from a node and its input tensors to its output tensors. Before it runs, evaluate() has
// checked that the required inputs are there and, for float and numeric ops, widened f16 and bf16 to f32 (all
// float inputs then have one type, f32 or f64), so functions see few types and results are rounded once, at
// the end.
#pragma once

#include <array>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "tensor/tensor.h"

namespace narrow::runtime::reference {

using Inputs = std::span<const Tensor* const>;
using Outputs = Result<std::vector<Tensor>>;
using Function = Outputs (*)(const ir::Node&, Inputs);

/// invalid_data about this node.
Error invalid(const ir::Node& node, std::string expected, std::string got);
/// unsupported: correct ONNX that this backend has no code for.
Error unsupported(const ir::Node& node, std::string expected, std::string got);
/// The type is none this op computes with.
Error wrong_type(const ir::Node& node, DType got);

/// Those of the inputs first..last that are there have the type of input 0.
Status one_type(const ir::Node& node, Inputs inputs, size_t first, size_t last);

/// Input i, or nullptr when it is absent.
inline const Tensor* optional_input(Inputs inputs, size_t i) {
  return i < inputs.size() ? inputs[i] : nullptr;
}

/// Uninitialised; refuses negative dimensions, overflow and more than kMaxTensorBytes.
constexpr int64_t kMaxTensorBytes = int64_t{1} << 34;
Result<Tensor> make_tensor(const ir::Node& node, DType type, const Shape& shape);

/// axis in [-rank, rank) -> [0, rank).
Result<int64_t> normal_axis(const ir::Node& node, int64_t axis, int64_t rank);
/// The same for a list without repeats, in the order given.
Result<std::vector<int64_t>> normal_axes(const ir::Node& node, std::vector<int64_t> axes, int64_t rank);

/// An integer tensor of rank 0 or 1 as a list (empty when absent).
Result<std::vector<int64_t>> int_list(const ir::Node& node, const Tensor* tensor);
/// A tensor of one number.
Result<int64_t> int_scalar(const ir::Node& node, const Tensor& tensor);
Result<double> real_scalar(const ir::Node& node, const Tensor& tensor);
/// Any numeric dtype as doubles.
std::vector<double> to_doubles(const Tensor& tensor);

/// TensorProto.DataType, as the attributes `to` and `dtype` hold it.
Result<DType> onnx_dtype(const ir::Node& node, int64_t type);

/// NumPy broadcasting of two shapes.
Result<Shape> broadcast_shape(const ir::Node& node, const Shape& a, const Shape& b);
/// Strides that read a tensor of shape `from` as if it had shape `to` (0 along broadcast axes).
std::vector<int64_t> broadcast_strides(const Shape& from, const Shape& to);
/// from broadcasts to exactly `to`.
bool broadcasts_to(const Shape& from, const Shape& to);

/// Visits the elements of `shape` in row-major order: f(i, at) with at[k] = sum over axes of index *
/// strides[k].
template <size_t N, class F>
void walk(const Shape& shape, const std::array<std::vector<int64_t>, N>& strides, F&& f) {
  const int64_t total = elements_of(shape);
  std::vector<int64_t> index(shape.size(), 0);
  std::array<int64_t, N> at{};
  for (int64_t i = 0; i < total; ++i) {
    f(i, at);
    for (size_t d = shape.size(); d-- > 0;) {
      for (size_t k = 0; k < N; ++k) at[k] += strides[k][d];
      if (++index[d] < shape[d]) break;
      for (size_t k = 0; k < N; ++k) at[k] -= strides[k][d] * shape[d];
      index[d] = 0;
    }
  }
}

/// A shape seen as [outer, axis, inner].
struct AxisView {
  int64_t outer = 1, size = 1, inner = 1;
};
AxisView view_axis(const Shape& shape, int64_t axis);

/// f(T{}) with the type of the data, for the types an op computes with; else an error.
template <class F>
Outputs for_floats(const ir::Node& node, DType type, F&& f) {
  if (type == DType::f32) return f(float{});
  if (type == DType::f64) return f(double{});
  return wrong_type(node, type);
}

template <class F>
Outputs for_numbers(const ir::Node& node, DType type, F&& f) {
  switch (type) {
    case DType::f32:
      return f(float{});
    case DType::f64:
      return f(double{});
    case DType::s8:
      return f(int8_t{});
    case DType::u8:
      return f(uint8_t{});
    case DType::s16:
      return f(int16_t{});
    case DType::u16:
      return f(uint16_t{});
    case DType::s32:
      return f(int32_t{});
    case DType::u32:
      return f(uint32_t{});
    case DType::s64:
      return f(int64_t{});
    case DType::u64:
      return f(uint64_t{});
    default:
      return wrong_type(node, type);
  }
}

/// f(Word{}) with an unsigned integer as wide as an element: for ops that only move data.
template <class F>
Outputs for_words(const ir::Node& node, DType type, F&& f) {
  switch (bytes_of(type)) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    case 8:
      return f(uint64_t{});
    default:
      return wrong_type(node, type);
  }
}
template <class Word>
const Word* words(const Tensor& t) {
  return static_cast<const Word*>(t.raw());
}
template <class Word>
Word* mutable_words(Tensor& t) {
  return static_cast<Word*>(t.mutable_raw());
}

/// What sums run in: double for floats (rounded once at the end), 64-bit integers otherwise (modulo 2^64).
template <class T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

/// One output.
inline Outputs one(Tensor t) { return std::vector<Tensor>{std::move(t)}; }

/// dst[i] = src[sum over axes of tables[axis][index]], `fill` where a table says -1. The tables set the
/// output's shape.
Result<Tensor> gather_by_tables(const ir::Node& node, const Tensor& src,
                                const std::vector<std::vector<int64_t>>& tables, const void* fill);

/// Axes moved: output axis i is input axis perm[i]. perm is a permutation.
Result<Tensor> permute(const ir::Node& node, const Tensor& x, const std::vector<int64_t>& perm);

}  // namespace narrow::runtime::reference
