#include "ir/ops/support.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/onnx_types.h"

namespace narrow::ir::ops {

// ---------------------------------------------------------------- types

TensorType ranked(DType dtype, Dims dims) {
  return {.dtype = dtype, .ranked = true, .dims = std::move(dims), .quant = nullptr};
}

TensorType shaped_like(const TensorType& type, DType dtype) {
  return {.dtype = dtype, .ranked = type.ranked, .dims = type.dims, .quant = nullptr};
}

Dims unknown_dims(int64_t rank) { return Dims(static_cast<size_t>(rank)); }

Result<Dims> dims_of_rank(const NodeView& view, int input, int64_t rank) {
  const TensorType& type = view.type(input);
  if (!type.ranked) return unknown_dims(rank);
  if (type.rank() != rank)
    return view.error(fmt::format("input {} of rank {}", input, rank), ir::to_string(type));
  return type.dims;
}

std::optional<Dim> unify(const Dim& a, const Dim& b) {
  if (a.known() && b.known() && a.value != b.value) return std::nullopt;
  if (a.known()) return a;
  return b.known() || a.symbol.empty() ? b : a;
}

std::optional<Dim> broadcast(const Dim& a, const Dim& b) {
  if (a.known() && a.value == 1) return b;
  if (b.known() && b.value == 1) return a;
  if (a.known() || b.known()) return unify(a, b);  // the other is 1 or equal when the model runs
  return a == b ? a : Dim();
}

Result<Dims> broadcast(const NodeView& view, const Dims& a, const Dims& b) {
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  Dims out = longer;
  const size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    const auto dim = broadcast(longer[offset + i], shorter[i]);
    if (!dim) return view.error("shapes that broadcast", to_string(a) + " and " + to_string(b));
    out[offset + i] = *dim;
  }
  return out;
}

Result<TensorType> broadcast_inputs(const NodeView& view, DType dtype, const std::vector<int>& inputs) {
  Dims dims;
  for (const int i : inputs) {
    if (!view.has(i)) continue;
    if (!view.type(i).ranked) return TensorType::unranked(dtype);
    NARROW_TRY(dims, broadcast(view, dims, view.type(i).dims));
  }
  return ranked(dtype, std::move(dims));
}

Status broadcasts_to(const NodeView& view, const Dims& from, const Dims& to) {
  bool fits = from.size() <= to.size();
  for (size_t i = 0; fits && i < from.size(); ++i) {
    const Dim& f = from[i];
    const Dim& t = to[to.size() - from.size() + i];
    fits = !f.known() || f.value == 1 || !t.known() || f.value == t.value;
  }
  if (fits) return {};
  return view.error("a shape that broadcasts to " + to_string(to), to_string(from));
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i > 0 ? "," : "") + ir::to_string(dims[i]);
  return text + "]";
}

// ---------------------------------------------------------------- element types

Result<DType> out_dtype(const NodeView& view, DType otherwise) {
  if (!view.node().has("out_dtype")) return otherwise;
  const std::string name = view.node().string_attr("out_dtype", "");
  const auto type = parse_dtype(name);
  if (!type) return view.error("out_dtype to name an element type", "'" + name + "'");
  return *type;
}

Result<DType> common_dtype(const NodeView& view, const std::vector<int>& inputs) {
  DType first = DType::undefined;
  const TensorType* other = nullptr;
  bool quantized = false;
  for (const int i : inputs) {
    if (!view.has(i)) continue;
    const TensorType& type = view.type(i);
    quantized |= type.quant != nullptr;
    if (first == DType::undefined) first = type.dtype;
    if (type.dtype != first) other = &type;
  }
  if (other != nullptr && !quantized)
    return view.error("inputs of one element type",
                      fmt::format("{} and {}", narrow::to_string(first), narrow::to_string(other->dtype)));
  return out_dtype(view, first);
}

Result<DType> real_dtype(const NodeView& view, const std::vector<int>& inputs) {
  for (const int i : inputs)
    if (view.has(i) && is_integer(view.type(i).dtype) && view.type(i).quant == nullptr)
      return view.error("floating-point or quantized inputs",
                        fmt::format("{} at input {}", ir::to_string(view.type(i)), i));
  return common_dtype(view, inputs);
}

Result<DType> onnx_dtype_attr(const NodeView& view, const std::string& attr, DType otherwise) {
  if (!view.node().has(attr)) return otherwise;
  const int64_t code = view.node().int_attr(attr, 0);
  const auto type = dtype_of_onnx(code);
  if (!type) return view.error(attr + " to be an ONNX element type that narrow has", std::to_string(code));
  return *type;
}

Result<TensorType> moved(const NodeView& view, int input, Dims dims) {
  const TensorType& from = view.type(input);
  NARROW_TRY(const DType dtype, out_dtype(view, from.dtype));
  TensorType to = ranked(dtype, std::move(dims));
  if (from.quant && from.quant->per_tensor() && dtype == from.dtype) to.quant = from.quant;
  return to;
}

Result<TensorType> moved_unranked(const NodeView& view, int input) {
  NARROW_TRY(TensorType to, moved(view, input, {}));
  to.ranked = false;
  return to;
}

// ---------------------------------------------------------------- numbers

std::optional<int64_t> as_dim(Wide value) {
  if (value < 0 || value > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<int64_t>(value);
}

Result<int64_t> normalize_axis(const NodeView& view, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return view.error(fmt::format("an axis in [{}, {}]", -rank, rank - 1), std::to_string(axis));
  return axis < 0 ? axis + rank : axis;
}

Result<std::vector<int64_t>> normalize_axes(const NodeView& view, const std::vector<int64_t>& axes,
                                            int64_t rank) {
  std::vector<int64_t> out;
  for (const int64_t axis : axes) {
    NARROW_TRY(const int64_t a, normalize_axis(view, axis, rank));
    if (std::find(out.begin(), out.end(), a) != out.end())
      return view.error("distinct axes", fmt::format("axis {} twice", a));
    out.push_back(a);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::optional<int64_t>> vector_length(const NodeView& view, int input) {
  const TensorType& type = view.type(input);
  if (!type.ranked) return std::optional<int64_t>();
  if (type.rank() > 1) return view.error(fmt::format("input {} of rank 1", input), ir::to_string(type));
  if (type.rank() == 0) return std::optional<int64_t>(1);
  if (!type.dims[0].known()) return std::optional<int64_t>();
  if (type.dims[0].value > kMaxRank)
    return view.error(fmt::format("at most {} dimensions", kMaxRank), ir::to_string(type));
  return std::optional<int64_t>(type.dims[0].value);
}

std::optional<int64_t> product(const Dims& dims) {
  int64_t n = 1;
  for (const Dim& d : dims)
    if (!d.known() || __builtin_mul_overflow(n, d.value, &n)) return std::nullopt;
  return n;
}

Result<Layout> layout_of(const NodeView& view, int64_t rank) {
  if (view.node().int_attr("channels_last", 0) == 0) {
    if (rank < 2) return view.error("data of rank 2 or more", fmt::format("rank {}", rank));
    return Layout{.channel = 1, .space = 2, .spatial_rank = static_cast<size_t>(rank - 2)};
  }
  if (rank != 4) return view.error("data of rank 4 with channels_last", fmt::format("rank {}", rank));
  return Layout{.channel = 3, .space = 1, .spatial_rank = 2};
}

OpSchema schema(Op op, int since, const char* doc, std::vector<Parameter> inputs, InferFunction infer,
                std::vector<Parameter> outputs) {
  return {.op = op,
          .domain = "",
          .since = since,
          .doc = doc,
          .inputs = std::move(inputs),
          .outputs = std::move(outputs),
          .infer = infer};
}

}  // namespace narrow::ir::ops
