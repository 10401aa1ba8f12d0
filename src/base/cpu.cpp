#include "base/cpu.h"

#include <cpuid.h>
#include <dlfcn.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

namespace narrow {
namespace {

constexpr std::array kIsaNames = {"plain",       "avx2",        "avx2_vnni", "avx512",
                                  "avx512_vnni", "avx512_bf16", "amx"};

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Leaf r;
  if (static_cast<uint32_t>(__get_cpuid_max(leaf & 0x80000000U, nullptr)) < leaf) return r;
  __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
  return r;
}

bool bit(uint32_t word, int index) { return ((word >> index) & 1U) != 0; }

uint64_t xgetbv() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

/// Linux gives a process the AMX tile data only when asked: arch_prctl(ARCH_REQ_XCOMP_PERM,
/// XFEATURE_XTILEDATA).
bool ask_for_amx_tiles() { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

bool has_avx_vnni() { return bit(cpuid(7, 1).eax, 4); }

Isa probe_isa(const Leaf& one, const Leaf& seven) {
  if (!bit(one.ecx, 27)) return Isa::plain;  // OSXSAVE
  const uint64_t os = xgetbv();
  const bool avx2 =
      (os & 0x6) == 0x6 && bit(seven.ebx, 5) && bit(one.ecx, 12) && bit(one.ecx, 29) && bit(seven.ebx, 8);
  if (!avx2) return Isa::plain;
  const bool avx512 = (os & 0xe6) == 0xe6 && bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 28) &&
                      bit(seven.ebx, 30) && bit(seven.ebx, 31);
  if (!avx512) return has_avx_vnni() ? Isa::avx2_vnni : Isa::avx2;
  const bool vnni = bit(seven.ecx, 11) && bit(seven.ecx, 1);  // AVX512_VNNI and AVX512_VBMI
  if (!vnni) return Isa::avx512;
  if (!bit(cpuid(7, 1).eax, 5)) return Isa::avx512_vnni;
  const bool amx = (os & 0x60000) == 0x60000 && bit(seven.edx, 22) && bit(seven.edx, 24) &&
                   bit(seven.edx, 25) && ask_for_amx_tiles();
  return amx ? Isa::amx : Isa::avx512_bf16;
}

/// AMD's processors start as many vdpbf16ps a cycle as fused multiply-adds, each with twice the products
/// (measured on Zen 5). Intel's with AMX take four times as long for one, half of FP32's rate: their bf16
/// products are the tiles'.
bool is_amd() {
  const Leaf zero = cpuid(0);
  std::array<char, 12> vendor{};
  std::memcpy(vendor.data(), &zero.ebx, 4);
  std::memcpy(vendor.data() + 4, &zero.edx, 4);
  std::memcpy(vendor.data() + 8, &zero.ecx, 4);
  return std::string_view(vendor.data(), vendor.size()) == "AuthenticAMD";
}

std::string brand() {
  std::array<char, 49> text{};
  for (uint32_t i = 0; i < 3; ++i) {
    const Leaf leaf = cpuid(0x80000002U + i);
    std::memcpy(text.data() + i * 16, &leaf, 16);
  }
  std::string name(text.data());
  name.erase(0, name.find_first_not_of(' '));
  return name.empty() ? "unknown processor" : name;
}

int64_t cache_bytes(int name, int64_t fallback) {
  const long bytes = sysconf(name);
  return bytes > 0 ? bytes : fallback;
}

/// The ISA that a library loaded before the program makes up for (tests/emulation) on a processor that has
/// the one before it. The processor's name says so: no figure taken with it looks like one of a processor
/// that has it.
void take_emulation(CpuFeatures& cpu) {
  const auto emulated = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "narrow_emulated_isa"));
  const auto isa = emulated != nullptr ? parse_isa(emulated()) : std::nullopt;
  if (!isa || static_cast<int>(*isa) != static_cast<int>(cpu.best) + 1) return;
  cpu.best = *isa;
  cpu.model += std::string(" (") + to_string(*isa) + " emulated)";
}

CpuFeatures probe() {
  CpuFeatures cpu;
  const Leaf one = cpuid(1), seven = cpuid(7);
  cpu.best = probe_isa(one, seven);
  cpu.avx_vnni = cpu.best >= Isa::avx2 && has_avx_vnni();
  cpu.avx512_fp16 = cpu.best >= Isa::avx512_vnni && bit(seven.edx, 23);
  cpu.fast_bf16_dots = cpu.best >= Isa::avx512_bf16 && is_amd();
  cpu.model = brand();
  take_emulation(cpu);
  cpu_set_t mask;
  cpu.cores = sched_getaffinity(0, sizeof mask, &mask) == 0 ? CPU_COUNT(&mask) : 1;
  cpu.l1d_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, cpu.l1d_bytes);
  cpu.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, cpu.l2_bytes);
  cpu.l3_bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE, cpu.l3_bytes);
  return cpu;
}

}  // namespace

const char* to_string(Isa isa) { return kIsaNames.at(static_cast<size_t>(isa)); }

std::optional<Isa> parse_isa(std::string_view name) {
  for (size_t i = 0; i < kIsaNames.size(); ++i)
    if (name == kIsaNames.at(i)) return static_cast<Isa>(i);
  return std::nullopt;
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = probe();
  return features;
}

Isa usable_isa() {
  const char* cap = std::getenv("NARROW_MAX_ISA");
  const auto isa = cap != nullptr ? parse_isa(cap) : std::nullopt;
  return isa ? std::min(*isa, cpu_features().best) : cpu_features().best;
}

bool includes(Isa best, Isa isa) { return isa <= best && (isa != Isa::avx2_vnni || cpu_features().avx_vnni); }

bool runs_here(Isa isa) { return includes(usable_isa(), isa); }

bool has_bf16_products(Isa isa) {
  return isa >= Isa::amx || (isa >= Isa::avx512_bf16 && cpu_features().fast_bf16_dots);
}

}  // namespace narrow
