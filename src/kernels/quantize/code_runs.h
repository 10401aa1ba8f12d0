// Which of the inner loops in codes.h an instruction set runs.
#pragma once

#include "base/cpu.h"
#include "kernels/quantize/codes.h"

namespace narrow::kernels {

void quantize_run(const CodeRun& run, Isa isa);
void dequantize_run(const CodeRun& run, Isa isa);

}  // namespace narrow::kernels
