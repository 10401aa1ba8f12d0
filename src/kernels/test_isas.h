// For tests: the instruction sets that kernels can be asked for here.
#pragma once

#include <vector>

#include "base/cpu.h"

namespace narrow::kernels {

/// Ascending, plain first, up to what this machine has and NARROW_MAX_ISA allows.
inline std::vector<Isa> usable_isas() {
  std::vector<Isa> list;
  for (const Isa isa :
       {Isa::plain, Isa::avx2, Isa::avx2_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx})
    if (runs_here(isa)) list.push_back(isa);
  return list;
}

}  // namespace narrow::kernels
