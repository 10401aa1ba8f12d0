// What this processor and its operating system let a kernel use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace narrow {

/// Instruction sets in the order in which dispatch prefers them; each includes the ones before it, but that
/// processors with AVX-512 may lack the VNNI of avx2_vnni: ask includes(), don't compare.
enum class Isa : uint8_t { plain, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16, amx };

const char* to_string(Isa isa);
std::optional<Isa> parse_isa(std::string_view name);

struct CpuFeatures {
  Isa best = Isa::plain;        // what the machine has
  bool avx_vnni = false;        // VNNI on 256 bits without AVX-512
  bool avx512_fp16 = false;     // native half arithmetic
  bool fast_bf16_dots = false;  // vdpbf16ps multiplies faster than FP32 vectors do
  std::string model;            // as the processor names itself
  int cores = 1;                // that this process may run on
  int64_t l1d_bytes = 32 << 10, l2_bytes = 1 << 20, l3_bytes = 8 << 20;
};

/// Probed once, AMX tile permission asked of the operating system.
const CpuFeatures& cpu_features();

/// The best ISA kernels may use: cpu_features().best, capped by the environment variable NARROW_MAX_ISA
/// (a name of to_string(Isa)). Read anew at each call; an unknown value caps nothing.
Isa usable_isa();

/// Whether kernels of `isa` may run on this processor where `best` may.
bool includes(Isa best, Isa isa);
/// includes(usable_isa(), isa).
bool runs_here(Isa isa);

/// Whether products of bf16 numbers are faster than FP32's where kernels of `isa` may run here: in AMX tiles,
/// or by vdpbf16ps on a processor that does it at full rate. Elsewhere bf16 saves memory, not time.
bool has_bf16_products(Isa isa);

}  // namespace narrow
