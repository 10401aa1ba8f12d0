// What the op files share: sets of element types, checked arithmetic, broadcasting, axes, quantized results.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/schema.h"

namespace narrow::ir::ops {

using Types = std::vector<TensorType>;
using Inferred = Result<Types>;
using Dims = std::vector<Dim>;
/// Products and sums of 64-bit numbers from a model fit here.
__extension__ typedef __int128 Wide;

/// No tensor of narrow has more dimensions.
constexpr int64_t kMaxRank = 64;

constexpr DTypeSet kFloats{DType::f32, DType::f64, DType::f16, DType::bf16};
/// u8 and s8 only with a Quantization: integers that stand for real numbers.
constexpr DTypeSet kReals{DType::f32, DType::f64, DType::f16, DType::bf16, DType::u8, DType::s8};
constexpr DTypeSet kNumbers{DType::f32, DType::f64, DType::f16, DType::bf16, DType::s8,  DType::u8,
                            DType::s16, DType::u16, DType::s32, DType::u32,  DType::s64, DType::u64};
constexpr DTypeSet kInt8{DType::u8, DType::s8};
constexpr DTypeSet kInt8Or16{DType::u8, DType::s8, DType::u16, DType::s16};
constexpr DTypeSet kIndex{DType::s32, DType::s64};
constexpr DTypeSet kS64{DType::s64};
constexpr DTypeSet kS32{DType::s32};
constexpr DTypeSet kF32{DType::f32};
constexpr DTypeSet kU8{DType::u8};
constexpr DTypeSet kBool{DType::boolean};
constexpr DTypeSet kAny{};

// --- types

TensorType ranked(DType dtype, Dims dims);
/// The dims (and missing rank) of `type` with another element type, not quantized.
TensorType shaped_like(const TensorType& type, DType dtype);
Dims unknown_dims(int64_t rank);
/// The dims of `type`, or `rank` unknown ones when it is unranked. Error when it has another rank.
Result<Dims> dims_of_rank(const NodeView& view, int input, int64_t rank);

/// The more precise of two dims that must be equal; nothing when they are different numbers.
std::optional<Dim> unify(const Dim& a, const Dim& b);
/// NumPy broadcasting of two dims; nothing when neither is 1 and they differ.
std::optional<Dim> broadcast(const Dim& a, const Dim& b);
Result<Dims> broadcast(const NodeView& view, const Dims& a, const Dims& b);
/// Broadcast over the given inputs (absent ones skipped): unranked as soon as one is.
Result<TensorType> broadcast_inputs(const NodeView& view, DType dtype, const std::vector<int>& inputs);
/// Checks that `from` broadcasts to `to` without changing it.
Status broadcasts_to(const NodeView& view, const Dims& from, const Dims& to);
std::string to_string(const Dims& dims);

// --- element types

/// Inputs (absent ones skipped) have one element type: the result. Once one is quantized they may mix; then
/// the type of the first. "out_dtype" (a name as in to_string(DType)) overrides it: how the engine's ops say
/// what they store.
Result<DType> common_dtype(const NodeView& view, const std::vector<int>& inputs);
/// The same for ops on real numbers: u8 and s8 must be quantized.
Result<DType> real_dtype(const NodeView& view, const std::vector<int>& inputs);
/// Attribute "out_dtype" when present, else `otherwise`.
Result<DType> out_dtype(const NodeView& view, DType otherwise);
/// The element type an attribute holds as a number of ONNX; `otherwise` when the attribute is absent.
Result<DType> onnx_dtype_attr(const NodeView& view, const std::string& attr, DType otherwise);
/// The type of elements of input i moved to `dims`: with its per-tensor quantization.
Result<TensorType> moved(const NodeView& view, int input, Dims dims);
Result<TensorType> moved_unranked(const NodeView& view, int input);

// --- schemas

/// Of an ONNX operator with one result of numbers, unless told otherwise.
OpSchema schema(Op op, int since, const char* doc, std::vector<Parameter> inputs, InferFunction infer,
                std::vector<Parameter> outputs = {{"Y", kNumbers}});

// --- numbers

/// `value` as a dimension; nothing when it is negative or beyond 63 bits.
std::optional<int64_t> as_dim(Wide value);
/// An axis of a tensor of that rank, negative ones counted from the end.
Result<int64_t> normalize_axis(const NodeView& view, int64_t axis, int64_t rank);
/// The same for a list; an axis given twice is an error. Sorted.
Result<std::vector<int64_t>> normalize_axes(const NodeView& view, const std::vector<int64_t>& axes,
                                            int64_t rank);
/// Length of the 1-D input i, when it is known. Error when it is longer than kMaxRank.
Result<std::optional<int64_t>> vector_length(const NodeView& view, int input);
/// Product of dims when all are known and it fits.
std::optional<int64_t> product(const Dims& dims);

/// Where channels and space lie: [N,C,spatial...] or, with attribute channels_last = 1, [N,H,W,C].
struct Layout {
  size_t channel = 1, space = 2, spatial_rank = 0;
};
Result<Layout> layout_of(const NodeView& view, int64_t rank);

}  // namespace narrow::ir::ops
