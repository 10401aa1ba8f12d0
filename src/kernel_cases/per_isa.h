// Families whose function is told the instruction set: one candidate for each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernel_cases/family.h"
#include "kernels/activation.h"

namespace narrow::kernel_cases {

struct IsaFunction {
  std::function<void(const Memory& memory, Isa isa, ThreadPool& pool)> run;
  /// Null: none is needed.
  std::function<int64_t(Isa isa, int threads)> scratch_bytes = {};
  /// The accuracy from AMX on; below it is 0.
  size_t amx_accuracy = 0;
};

/// "matmul_plain", "matmul_avx2", ...
std::vector<Candidate> per_isa(const std::string& family, const IsaFunction& function);
std::vector<Listed> list_per_isa(const std::string& family, const std::string& takes);

/// Bytes of all inputs and outputs.
double bytes_of_operands(const Problem& problem);

/// Operands of an operation that every instruction set rounds alike: `reference` writes what bit for bit has
/// to come.
std::function<void(Problem&)> solve_exactly(
    std::function<void(const Problem&, std::vector<void*>)> reference);

/// y = act(x) of inputs x that are exact: what a curved activation may be off.
void bound_activation(Output& output, const kernels::Activation& activation, const std::vector<float>& x);

}  // namespace narrow::kernel_cases
