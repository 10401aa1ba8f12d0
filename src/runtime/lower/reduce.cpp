// ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL1, ReduceL2, ReduceSumSquare -> kernels/reduce.
#include "kernels/reduce/reduce.h"

#include <algorithm>
#include <optional>

#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;
using kernels::ReduceSpec;
using kernels::Reduction;

struct Kind {
  Op op;
  Reduction reduction;
};
constexpr Kind kKinds[] = {{Op::ReduceSum, Reduction::sum},
                           {Op::ReduceMean, Reduction::mean},
                           {Op::ReduceL1, Reduction::l1},
                           {Op::ReduceL2, Reduction::l2},
                           {Op::ReduceMax, Reduction::max},
                           {Op::ReduceMin, Reduction::min},
                           {Op::ReduceSumSquare, Reduction::sum_square}};

/// Which axes go.
std::vector<bool> reduced_axes(const NodeCase& c) {
  const int64_t rank = c.in(0).rank();
  const auto axes = c.has(1) ? to_ints(*c.constant(1)) : std::vector<int64_t>();
  std::vector<bool> reduced(static_cast<size_t>(rank), axes.empty());
  for (const int64_t axis : axes) reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
  return reduced;
}

/// [outer, reduced, inner], where the axes that go lie side by side; those of one element lie anywhere.
std::optional<ReduceSpec> spec_of(const NodeCase& c) {
  const Shape shape = c.in(0).shape();
  const std::vector<bool> reduced = reduced_axes(c);
  ReduceSpec spec;
  bool seen = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    if (reduced[i] && seen && spec.inner != 1) return {};
    seen |= reduced[i];
    (reduced[i] ? spec.reduced : seen ? spec.inner : spec.outer) *= shape[i];
  }
  spec.kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) {
                return k.op == c.node.op();
              })->reduction;
  return spec;
}

std::string reduce_unsupported(const NodeCase& c) {
  if (c.in(0).dtype != DType::f32 || c.out().dtype != DType::f32) return "types are not f32";
  if (c.has(1) && c.constant(1) == nullptr) return "axes are not constant";
  if ((!c.has(1) || c.constant(1)->elements() == 0) && c.node.int_attr("noop_with_empty_axes", 0) != 0)
    return "no axes";
  return spec_of(c) ? "" : "axes that stay lie between those that go";
}

Result<std::unique_ptr<Kernel>> create_reduce(const NodeCase& c) {
  const ReduceSpec spec = *spec_of(c);
  const auto run = [spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::reduce(spec, static_cast<const float*>(b.inputs[0]), static_cast<float*>(b.outputs[0]),
                    b.scratch, isa, pool);
  };
  return make_kernel(run, kernels::reduce_scratch_bytes(spec));
}

}  // namespace

void add_reductions(Table& table) {
  for (const Kind& kind : kKinds)
    table[kind.op].push_back({.name = "reduce",
                              .isa = Isa::plain,
                              .unsupported = reduce_unsupported,
                              .create = create_reduce,
                              .formats = "f32"});
}

}  // namespace narrow::runtime::lower
