// Pad: per axis, which input position an output position shows; negative pads cut away first.
#include <algorithm>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

/// Position i, maybe outside [0, size), as the mode sees it; -1 is the constant. size > 0 unless mode is
/// constant.
int64_t source(const std::string& mode, int64_t i, int64_t size) {
  if (i >= 0 && i < size) return i;
  if (mode == "constant") return -1;
  if (mode == "edge") return i < 0 ? 0 : size - 1;
  if (mode == "wrap") return (i % size + size) % size;
  if (size == 1) return 0;  // reflect: the edge is not repeated, the period is 2 (size - 1)
  const int64_t period = 2 * (size - 1), p = (i % period + period) % period;
  return p < size ? p : period - p;
}

/// The pads of every axis: [begin..., end...].
Result<std::vector<int64_t>> all_pads(const ir::Node& node, Inputs inputs, int64_t rank) {
  NARROW_TRY(const std::vector<int64_t> given, int_list(node, inputs[1]));
  NARROW_TRY(std::vector<int64_t> axes, int_list(node, optional_input(inputs, 3)));
  if (optional_input(inputs, 3) == nullptr)
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  NARROW_TRY(axes, normal_axes(node, std::move(axes), rank));
  if (given.size() != 2 * axes.size()) return invalid(node, "two pads per axis", to_string(given));
  std::vector<int64_t> pads(static_cast<size_t>(2 * rank), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    pads[static_cast<size_t>(axes[i])] = given[i];
    pads[static_cast<size_t>(axes[i] + rank)] = given[i + axes.size()];
  }
  return pads;
}

}  // namespace

Outputs eval_pad(const ir::Node& node, Inputs inputs) {
  const Tensor& x = *inputs[0];
  const int64_t rank = x.rank();
  NARROW_TRY(const std::vector<int64_t> pads, all_pads(node, inputs, rank));
  const std::string mode = node.string_attr("mode", "constant");
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap")
    return unsupported(node, "mode constant, edge, reflect or wrap", mode);
  uint64_t zero = 0;
  const void* fill = &zero;
  if (const Tensor* value = optional_input(inputs, 2)) {
    if (value->elements() != 1 || value->dtype() != x.dtype())
      return invalid(node, "one constant of the data's type", to_string(value->shape()));
    fill = value->raw();
  }
  Shape shape, cut;
  for (int64_t d = 0; d < rank; ++d) {
    const int64_t begin = pads[static_cast<size_t>(d)], end = pads[static_cast<size_t>(d + rank)];
    if (std::min(begin, end) < -kMaxTensorBytes || std::max(begin, end) > kMaxTensorBytes)
      return invalid(node, "pads that fit a tensor", to_string(pads));
    shape.push_back(x.dim(d) + begin + end);
    cut.push_back(x.dim(d) + std::min<int64_t>(begin, 0) + std::min<int64_t>(end, 0));
    if (cut.back() < 0 || (cut.back() == 0 && shape.back() > 0 && mode != "constant"))
      return invalid(node, "pads that leave something", to_string(pads));
  }
  NARROW_TRY(Tensor y, make_tensor(node, x.dtype(), shape));
  if (y.elements() == 0) return one(std::move(y));
  std::vector<std::vector<int64_t>> tables;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t removed = std::max<int64_t>(-pads[d], 0), added = std::max<int64_t>(pads[d], 0);
    tables.emplace_back();
    for (int64_t o = 0; o < shape[d]; ++o) {
      const int64_t s = source(mode, o - added, cut[d]);
      tables.back().push_back(s < 0 ? -1 : s + removed);
    }
  }
  NARROW_TRY(y, gather_by_tables(node, x, tables, fill));
  return one(std::move(y));
}

}  // namespace narrow::runtime::reference
