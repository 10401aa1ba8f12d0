// Hides instruction sets from a whole program, so that others can be measured on an older processor's:
// preloaded (LD_PRELOAD) with CAP_ISA set, every CPUID instruction faults (arch_prctl(2), ARCH_SET_CPUID) and
// is answered here without the bits beyond that. Where kernel or processor cannot do that, those are answered
// that stand as UD2 in the program's libraries (cap_isa.py), if CAP_PATCHED says so; else it ends the
// program, as where CAP_ISA is none of avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16. Threads and
// children of the program inherit it.
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kSetCpuid = 0x1012;

struct Hidden {
  const char* isa;
  uint32_t ebx7, ecx7, edx7;  // of CPUID leaf 7
  uint32_t eax71, edx71;      // of leaf 7, subleaf 1
};

template <class... Bits>
constexpr uint32_t bits(Bits... at) {
  return ((uint32_t{1} << at) | ... | 0U);
}

constexpr uint32_t kAvx512Ebx = bits(16, 17, 21, 26, 27, 28, 30, 31);
constexpr uint32_t kVbmiVnniEcx = bits(1, 6, 11, 12, 14);
constexpr uint32_t kAmxEdx = bits(22, 24, 25), kAvx512Edx = bits(2, 3, 8, 23);
constexpr uint32_t kAvxVnniEax = bits(4, 23), kBf16Eax = bits(5), kAmxEax = bits(21);
constexpr uint32_t kWiderVnniEdx = bits(4, 5, 10), kAmxComplexAvx10Edx = bits(8, 19);

constexpr Hidden kHidden[] = {
    {"avx2", kAvx512Ebx, kVbmiVnniEcx, kAmxEdx | kAvx512Edx, kAvxVnniEax | kBf16Eax | kAmxEax,
     kWiderVnniEdx | kAmxComplexAvx10Edx},
    {"avx2_vnni", kAvx512Ebx, kVbmiVnniEcx, kAmxEdx | kAvx512Edx, kBf16Eax | kAmxEax, kAmxComplexAvx10Edx},
    {"avx512", 0, kVbmiVnniEcx, kAmxEdx | kAvx512Edx, kAvxVnniEax | kBf16Eax | kAmxEax,
     kWiderVnniEdx | kAmxComplexAvx10Edx},
    {"avx512_vnni", 0, 0, kAmxEdx, kBf16Eax | kAmxEax, bits(8)},
    {"avx512_bf16", 0, 0, kAmxEdx, kAmxEax, bits(8)}};

const Hidden* hidden = nullptr;
bool patched = false;  // UD2 stands where CPUID was

void answer(int signal, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  if (code[0] != 0x0f || code[1] != (patched ? 0x0b : 0xa2)) {  // a fault of the program's own
    std::signal(signal, SIG_DFL);
    return;
  }
  const auto leaf = static_cast<uint32_t>(registers[REG_RAX]),
             subleaf = static_cast<uint32_t>(registers[REG_RCX]);
  uint32_t a = leaf, b = 0, c = subleaf, d = 0;
  if (!patched) syscall(SYS_arch_prctl, kSetCpuid, 1);
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if (!patched) syscall(SYS_arch_prctl, kSetCpuid, 0);
  if (leaf == 7 && subleaf == 0) b &= ~hidden->ebx7, c &= ~hidden->ecx7, d &= ~hidden->edx7;
  if (leaf == 7 && subleaf == 1) a &= ~hidden->eax71, d &= ~hidden->edx71;
  registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

__attribute__((constructor)) void cap() {
  const char* isa = std::getenv("CAP_ISA");
  for (const Hidden& h : kHidden)
    if (isa != nullptr && std::strcmp(isa, h.isa) == 0) hidden = &h;
  if (hidden == nullptr) {
    std::fprintf(stderr, "CAP_ISA: expected avx2, avx2_vnni, avx512, avx512_vnni or avx512_bf16, got %s\n",
                 isa != nullptr ? isa : "nothing");
    _exit(2);
  }
  struct sigaction action {};
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  patched = std::getenv("CAP_PATCHED") != nullptr;
  sigaction(patched ? SIGILL : SIGSEGV, &action, nullptr);
  if (!patched && syscall(SYS_arch_prctl, kSetCpuid, 0) != 0) {
    std::fprintf(
        stderr,
        "instruction sets cannot be hidden here: neither this processor nor its host lets CPUID fault\n");
    _exit(2);
  }
}

}  // namespace
