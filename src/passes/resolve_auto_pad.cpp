// auto_pad becomes explicit pads:
//   VALID       all zero
//   SAME_*      out = ceil(in / stride), total = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 -
//   in),
//               the odd one at the end (UPPER) or at the beginning (LOWER)
// Left alone where a spatial extent is not known, and for ConvTranspose, whose SAME pads depend on
// output_padding.
#include <algorithm>

#include "passes/list.h"
#include "passes/match.h"

namespace narrow::passes {
namespace {

bool takes_auto_pad(Op op) {
  return op == Op::Conv || op == Op::MaxPool || op == Op::AveragePool || op == Op::LpPool;
}

std::optional<std::vector<int64_t>> kernel_of(const Node* node, int64_t spatial) {
  std::vector<int64_t> kernel = node->ints_attr("kernel_shape");
  if (kernel.empty() && node->op() == Op::Conv) {
    for (int64_t i = 0; i < spatial; ++i) kernel.push_back(known_dim(node->input(1), 2 + i));
  }
  const bool valid = static_cast<int64_t>(kernel.size()) == spatial &&
                     std::all_of(kernel.begin(), kernel.end(), [](int64_t k) { return k > 0; });
  return valid ? std::optional(kernel) : std::nullopt;
}

std::optional<std::vector<int64_t>> explicit_pads(const Node* node, const std::string& mode) {
  const ir::TensorType& x = node->input(0)->type;
  if (!x.ranked || x.rank() < 3) return {};
  const int64_t spatial = x.rank() - 2;
  const auto n = static_cast<size_t>(spatial);
  std::vector<int64_t> pads(2 * n, 0);
  if (mode == "VALID") return pads;
  const auto kernel = kernel_of(node, spatial);
  const auto strides = node->ints_attr("strides", std::vector<int64_t>(n, 1));
  const auto dilations = node->ints_attr("dilations", std::vector<int64_t>(n, 1));
  if (!kernel || strides.size() != n || dilations.size() != n) return {};
  for (size_t i = 0; i < n; ++i) {
    const int64_t in = x.dims[i + 2].value;
    if (in <= 0 || strides[i] <= 0) return {};
    const int64_t out = (in + strides[i] - 1) / strides[i];
    const int64_t total =
        std::max<int64_t>(0, (out - 1) * strides[i] + ((*kernel)[i] - 1) * dilations[i] + 1 - in);
    const int64_t small = total / 2, large = total - small;
    pads[i] = mode == "SAME_UPPER" ? small : large;
    pads[i + n] = mode == "SAME_UPPER" ? large : small;
  }
  return pads;
}

}  // namespace

Result<int64_t> resolve_auto_pad(Graph& graph, const PassContext& context) {
  (void)context;
  int64_t resolved = 0;
  for (Node* node : graph.nodes()) {
    if (!takes_auto_pad(node->op())) continue;
    const std::string mode = node->string_attr("auto_pad", "NOTSET");
    if (mode == "NOTSET") continue;
    const auto pads = explicit_pads(node, mode);
    if (!pads) continue;
    node->attrs.erase("auto_pad");
    node->attrs["pads"] = *pads;
    ++resolved;
  }
  return resolved;
}

}  // namespace narrow::passes
