#include "quant/activation_order.h"

#include <algorithm>
#include <numeric>

namespace narrow::quant {
namespace {

/// gptq() goes from the last to the first.
std::vector<int64_t> rising_importance(const RoundingProblem& problem) {
  std::vector<int64_t> order(static_cast<size_t>(problem.k));
  std::iota(order.begin(), order.end(), 0);
  const auto importance = [&](int64_t k) { return problem.hessian[static_cast<size_t>(k * problem.k + k)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return importance(a) < importance(b); });
  return order;
}

/// Row k of the result is row order[k] of `rows` [k, n].
template <class T>
std::vector<T> permuted(const std::vector<T>& rows, int64_t n, const std::vector<int64_t>& order) {
  std::vector<T> out;
  out.reserve(rows.size());
  for (const int64_t k : order) out.insert(out.end(), rows.begin() + k * n, rows.begin() + (k + 1) * n);
  return out;
}

RoundingProblem permuted(const RoundingProblem& problem, const std::vector<int64_t>& order) {
  RoundingProblem out{.k = problem.k, .n = problem.n, .hessian = {}, .factor = {}, .target = {}, .zero = {}};
  out.hessian.reserve(problem.hessian.size());
  for (const int64_t i : order)
    for (const int64_t j : order)
      out.hessian.push_back(problem.hessian[static_cast<size_t>(i * problem.k + j)]);
  out.factor = upper_factor(out.hessian, out.k);
  out.target = permuted(problem.target, problem.n, order);
  if (!problem.zero.empty()) out.zero = permuted(problem.zero, problem.n, order);
  if (!problem.apart.empty()) out.apart = permuted(problem.apart, problem.n, order);
  return out;
}

/// The run that k lies in.
std::vector<int64_t> run_of_each(const WeightGrid& grid, int64_t k) {
  std::vector<int64_t> runs(static_cast<size_t>(k));
  for (int64_t g = 0; g < grid.groups(); ++g)
    std::fill(runs.begin() + grid.begin[static_cast<size_t>(g)],
              runs.begin() + grid.begin[static_cast<size_t>(g) + 1], g);
  return runs;
}

}  // namespace

GridWeights gptq_in_activation_order(const RoundingProblem& problem, const WeightGrid& grid,
                                     const GridWeights& fixed, ThreadPool& pool) {
  const std::vector<int64_t> order = rising_importance(problem), runs = run_of_each(grid, problem.k);
  std::vector<int64_t> groups;  // of the permuted rows, each a run of its own
  for (const int64_t k : order) groups.push_back(runs[static_cast<size_t>(k)]);
  WeightGrid rows = grid;
  rows.begin.resize(static_cast<size_t>(problem.k) + 1);
  std::iota(rows.begin.begin(), rows.begin.end(), 0);
  const GridWeights ordered = gptq(permuted(problem, order), rows,
                                   {.codes = {},
                                    .scale = permuted(fixed.scale, problem.n, groups),
                                    .zero_point = permuted(fixed.zero_point, problem.n, groups)},
                                   pool);
  std::vector<int64_t> back(order.size());  // where row k of the problem is among the permuted ones
  for (size_t k = 0; k < order.size(); ++k) back[static_cast<size_t>(order[k])] = static_cast<int64_t>(k);
  GridWeights out = fixed;
  out.codes = permuted(ordered.codes, problem.n, back);
  if (!ordered.apart.empty()) out.apart = permuted(ordered.apart, problem.n, back);
  return out;
}

}  // namespace narrow::quant
