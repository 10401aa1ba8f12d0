// AMX on processors that have none, for tests: a library loaded before a program (LD_PRELOAD) that takes the
// tile instructions out of the illegal-instruction signal and does in plain C++ what they do, and tells the
// program's probe that it may run them. A thousand times slower than the processor, the same bits: what the
// instructions do, and when they fault, is from Intel's manual, volume 2, chapters 3 to 5. What is left to it
// is everything else of AVX-512.
#include <dlfcn.h>
#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

/// What LDTILECFG reads: palette 1 is the only one with tiles.
struct Config {
  uint8_t palette = 0, start_row = 0;
  std::array<uint8_t, 14> reserved{};
  std::array<uint16_t, 16> row_bytes{};
  std::array<uint8_t, 16> rows{};
};
static_assert(sizeof(Config) == 64);

using Row = std::array<uint8_t, kRowBytes>;

struct Tiles {
  Config config;
  std::array<std::array<Row, kRows>, kTiles> tile;
};

/// In memory that exists before the signal does: a handler may not allocate.
__attribute__((tls_model("initial-exec"))) thread_local Tiles tiles;

/// What the program wants done about illegal instructions that are none of ours.
struct sigaction theirs = {};

[[noreturn]] void fault(const char* what) {
  const auto say = [](const char* text) { return write(STDERR_FILENO, text, std::strlen(text)); };
  if (say("amx emulation: ") < 0 || say(what) < 0 || say("\n") < 0) _exit(1);
  std::abort();
}

/// One instruction in VEX encoding of three bytes, map 0F38: as tile instructions are.
struct Instruction {
  int prefix = 0, opcode = 0, reg = 0, rm = 0, vvvv = 0, length = 0;
  bool memory = false, sib = false;
  uint64_t base = 0, index = 0;  // of a memory operand: displacement in the base, scale in the index
};

uint64_t general(const ucontext_t& context, int number) {
  constexpr std::array kOrder = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(context.uc_mcontext.gregs[kOrder.at(static_cast<size_t>(number))]);
}

/// The address of a memory operand, from behind the ModRM byte on; returns where it ends.
const uint8_t* operand(const ucontext_t& context, const uint8_t* at, int mod, int high_base, int high_index,
                       Instruction& in) {
  int base = in.rm + high_base;
  if (in.rm == 4) {
    in.sib = true;
    const int index = ((*at >> 3) & 7) + high_index, low = *at & 7;
    base = low + high_base;
    if (index != 4) in.index = general(context, index) << (*at >> 6);
    ++at;
    if (low == 5 && mod == 0) fault("an operand without base");
  } else if (in.rm == 5 && mod == 0) {
    int32_t displacement = 0;
    std::memcpy(&displacement, at, 4);
    at += 4;
    in.base = reinterpret_cast<uint64_t>(at) +
              static_cast<uint64_t>(int64_t{displacement});  // all lengths end here
    return at;
  }
  in.base = general(context, base);
  if (mod == 1) {
    in.base += static_cast<uint64_t>(int64_t{static_cast<int8_t>(*at++)});
  } else if (mod == 2) {
    int32_t displacement = 0;
    std::memcpy(&displacement, at, 4);
    at += 4;
    in.base += static_cast<uint64_t>(int64_t{displacement});
  }
  return at;
}

bool decode(const ucontext_t& context, Instruction& in) {
  const auto* begin = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  if (begin[0] != 0xc4 || (begin[1] & 0x1f) != 2) return false;
  in.prefix = begin[2] & 3;
  in.vvvv = (~begin[2] >> 3) & 15;
  in.opcode = begin[3];
  const uint8_t modrm = begin[4];
  in.reg = (modrm >> 3) & 7;
  in.rm = modrm & 7;
  in.memory = modrm >> 6 != 3;
  const uint8_t* end = begin + 5;
  if (in.memory)
    end =
        operand(context, end, modrm >> 6, (begin[1] & 0x20) != 0 ? 0 : 8, (begin[1] & 0x40) != 0 ? 0 : 8, in);
  in.length = static_cast<int>(end - begin);
  return true;
}

void release() { tiles = {}; }

void load_config(uint64_t from) {
  Config config;
  std::memcpy(&config, reinterpret_cast<const void*>(from), sizeof config);
  release();
  if (config.palette == 0) return;
  if (config.palette != 1 || config.start_row != 0) fault("LDTILECFG: a palette or a first row that is none");
  for (size_t i = 0; i < config.rows.size(); ++i) {
    if (config.rows.at(i) > kRows || config.row_bytes.at(i) > kRowBytes || config.row_bytes.at(i) % 4 != 0)
      fault("LDTILECFG: a tile of more than 16 rows of 64 bytes, or of parts of 4 bytes");
    if (i >= kTiles && (config.rows.at(i) != 0 || config.row_bytes.at(i) != 0))
      fault("LDTILECFG: more tiles than eight");
  }
  tiles.config = config;
}

auto& tile(int number) {
  if (tiles.config.palette != 1) fault("a tile instruction before LDTILECFG");
  if (tiles.config.rows.at(static_cast<size_t>(number)) == 0 ||
      tiles.config.row_bytes.at(static_cast<size_t>(number)) == 0)
    fault("a tile that the configuration leaves empty");
  return tiles.tile.at(static_cast<size_t>(number));
}

size_t rows(int number) { return tiles.config.rows.at(static_cast<size_t>(number)); }
size_t row_bytes(int number) { return tiles.config.row_bytes.at(static_cast<size_t>(number)); }

void load(const Instruction& in) {
  auto& into = tile(in.reg);
  into = {};
  for (size_t row = 0; row < rows(in.reg); ++row)
    std::memcpy(into.at(row).data(), reinterpret_cast<const void*>(in.base + row * in.index),
                row_bytes(in.reg));
}

void store(const Instruction& in) {
  const auto& from = tile(in.reg);
  for (size_t row = 0; row < rows(in.reg); ++row)
    std::memcpy(reinterpret_cast<void*>(in.base + row * in.index), from.at(row).data(), row_bytes(in.reg));
}

template <class T>
auto elements(const Row& row) {
  std::array<T, kRowBytes / sizeof(T)> all;
  std::memcpy(all.data(), row.data(), kRowBytes);
  return all;
}

/// Sums of products of four bytes each, modulo 2^32.
template <class A, class B>
struct Bytes {
  static void add(Row& sums, const Row& left, const std::array<Row, kRows>& right, size_t depth) {
    auto total = elements<uint32_t>(sums);
    const auto a = elements<A>(left);
    for (size_t k = 0; k < depth; ++k) {
      const auto b = elements<B>(right.at(k));
      for (size_t n = 0; n < total.size(); ++n)
        for (size_t i = 0; i < 4; ++i)
          total[n] += static_cast<uint32_t>(int{a[4 * k + i]} * int{b[4 * n + i]});
    }
    std::memcpy(sums.data(), total.data(), kRowBytes);
  }
};

float widened(uint16_t bf16) {
  const uint32_t bits = uint32_t{bf16} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Even and odd products of bf16 pairs in sums of their own, which are added to each other and then to the
/// tile's.
struct Halves {
  static void add(Row& sums, const Row& left, const std::array<Row, kRows>& right, size_t depth) {
    auto total = elements<float>(sums);
    const auto a = elements<uint16_t>(left);
    std::array<float, 2 * kRows> apart{};
    for (size_t k = 0; k < depth; ++k) {
      const auto b = elements<uint16_t>(right.at(k));
      for (size_t n = 0; n < apart.size(); ++n)
        apart[n] = std::fma(widened(a[2 * k + n % 2]), widened(b[n]), apart[n]);
    }
    for (size_t n = 0; n < total.size(); ++n) total[n] += apart[2 * n] + apart[2 * n + 1];
    std::memcpy(sums.data(), total.data(), kRowBytes);
  }
};

template <class Products>
void multiply(const Instruction& in) {
  auto& sums = tile(in.reg);
  const auto& left = tile(in.rm);
  const auto& right = tile(in.vvvv);
  if (in.reg == in.rm || in.reg == in.vvvv || in.rm == in.vvvv) fault("a product of a tile with itself");
  if (rows(in.reg) != rows(in.rm) || row_bytes(in.reg) != row_bytes(in.vvvv) ||
      row_bytes(in.rm) != 4 * rows(in.vvvv))
    fault("a product of tiles whose sizes do not fit each other");
  for (size_t row = 0; row < rows(in.reg); ++row)
    Products::add(sums.at(row), left.at(row), right, rows(in.vvvv));
}

/// The mandatory prefix as VEX numbers it: none, 66, F3, F2.
enum Prefix : int { kNone, k66, kF3, kF2 };

/// Whether it was one of ours.
bool execute(const Instruction& in) {
  switch (in.opcode << 4 | in.prefix) {
    case 0x490 | kNone:
      if (in.memory) {
        load_config(in.base + in.index);
      } else {
        release();
      }
      return true;
    case 0x490 | k66:
      std::memcpy(reinterpret_cast<void*>(in.base + in.index), &tiles.config, sizeof(Config));
      return true;
    case 0x490 | kF2:
      tile(in.reg) = {};
      return true;
    case 0x4b0 | kF2:
    case 0x4b0 | k66:
      load(in);
      return true;
    case 0x4b0 | kF3:
      store(in);
      return true;
    case 0x5e0 | kNone:
      multiply<Bytes<uint8_t, uint8_t>>(in);
      return true;
    case 0x5e0 | k66:
      multiply<Bytes<uint8_t, int8_t>>(in);
      return true;
    case 0x5e0 | kF3:
      multiply<Bytes<int8_t, uint8_t>>(in);
      return true;
    case 0x5e0 | kF2:
      multiply<Bytes<int8_t, int8_t>>(in);
      return true;
    case 0x5c0 | kF3:
      multiply<Halves>(in);
      return true;
    default:
      return false;
  }
}

void on_illegal(int number, siginfo_t* info, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  // Rounding to nearest, denormals read and written as zero, whatever the program has set; the kernel puts
  // its own back.
  _mm_setcsr(0x9fc0);
  Instruction in;
  if (decode(context, in) && execute(in)) {
    context.uc_mcontext.gregs[REG_RIP] += in.length;
    return;
  }
  if ((theirs.sa_flags & SA_SIGINFO) != 0 && theirs.sa_sigaction != nullptr) {
    theirs.sa_sigaction(number, info, raw);
  } else if (theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN) {
    theirs.sa_handler(number);
  } else {
    fault("an illegal instruction that is none of AMX");
  }
}

using SigAction = int (*)(int, const struct sigaction*, struct sigaction*);
SigAction real_sigaction() {
  static const auto real = reinterpret_cast<SigAction>(dlsym(RTLD_NEXT, "sigaction"));
  return real;
}

__attribute__((constructor)) void begin() {
  struct sigaction ours = {};
  ours.sa_sigaction = on_illegal;
  ours.sa_flags = SA_SIGINFO | SA_NODEFER;
  real_sigaction()(SIGILL, &ours, nullptr);
}

}  // namespace

extern "C" {

/// Asked by narrow's probe of the processor (src/base/cpu.cpp).
__attribute__((visibility("default"))) const char* narrow_emulated_isa() { return "amx"; }

/// Programs that want to hear of illegal instructions hear of those that are not emulated.
__attribute__((visibility("default"))) int sigaction(int number, const struct sigaction* action,
                                                     struct sigaction* before) noexcept {
  if (number != SIGILL) return real_sigaction()(number, action, before);
  if (before != nullptr) *before = theirs;
  if (action != nullptr) theirs = *action;
  return 0;
}
}
