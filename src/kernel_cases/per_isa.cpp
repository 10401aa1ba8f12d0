#include "kernel_cases/per_isa.h"

#include <fmt/format.h>

#include <utility>

#include "kernel_cases/bounds.h"

namespace narrow::kernel_cases {
namespace {
constexpr Isa kIsas[] = {Isa::plain, Isa::avx2, Isa::avx512, Isa::avx512_vnni, Isa::amx};
}

std::vector<Candidate> per_isa(const std::string& family, const IsaFunction& function) {
  std::vector<Candidate> list;
  for (const Isa isa : kIsas) {
    const auto prepare = [function, isa](int threads) -> PreparedKernel {
      return {.scratch_bytes = function.scratch_bytes ? function.scratch_bytes(isa, threads) : 0,
              .run = [function, isa](const Memory& m, ThreadPool& pool) { function.run(m, isa, pool); }};
    };
    list.push_back({.name = fmt::format("{}_{}", family, to_string(isa)),
                    .isa = isa,
                    .prepare = prepare,
                    .accuracy = isa == Isa::amx ? function.amx_accuracy : 0});
  }
  return list;
}

std::vector<Listed> list_per_isa(const std::string& family, const std::string& takes) {
  std::vector<Listed> list;
  for (const Isa isa : kIsas) list.push_back({fmt::format("{}_{}", family, to_string(isa)), isa, takes});
  return list;
}

double bytes_of_operands(const Problem& p) {
  double bytes = 0;
  for (const Bytes& input : p.inputs) bytes += static_cast<double>(input.size());
  for (const Output& output : p.outputs) bytes += static_cast<double>(output.bytes());
  return bytes;
}

std::function<void(Problem&)> solve_exactly(
    std::function<void(const Problem&, std::vector<void*>)> reference) {
  return [reference = std::move(reference)](Problem& p) {
    std::vector<void*> out;
    for (Output& o : p.outputs) {
      o.want.resize(static_cast<size_t>(o.bytes()));
      out.push_back(o.want.data());
    }
    reference(p, out);
  };
}

void bound_activation(Output& output, const kernels::Activation& activation, const std::vector<float>& x) {
  output.real.resize(x.size());
  output.bounds.assign(1, std::vector<float>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    output.real[i] = apply(activation, x[i]);
    output.bounds[0][i] = activation_error(activation, x[i], output.real[i]);
  }
}

}  // namespace narrow::kernel_cases
