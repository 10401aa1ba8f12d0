// Functions of one or two values, element by element.
//
// Everything is computed in FP32 and stored as kernels/tensor_quant.h says. Integer results (u8, s8
// destinations of add, sub, mul, min, max with a clamp-like activation, and every table) are equal on all
// ISAs; transcendental functions differ from the C library by what kernels/math states.
#pragma once

#include <cstdint>
#include <span>

#include "base/cpu.h"
#include "kernels/activation.h"
#include "kernels/tensor_quant.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

constexpr int kMaxRank = 8;

// ---- unary ----

/// round: half to even. sign: -1, 0, 1. softplus: log(1 + e^x). softsign: x / (1 + |x|).
enum class Unary : uint8_t {
  activation,
  exp,
  log,
  sqrt,
  reciprocal,
  abs,
  neg,
  sign,
  erf,
  floor,
  ceil,
  round,
  sin,
  cos,
  tan,
  atan,
  softplus,
  softsign
};

struct UnaryFunction {
  Unary kind = Unary::activation;
  Activation activation = {};  // for kind == activation; none copies (or converts)
};

const char* to_string(Unary kind);

/// The plain definition.
float apply(const UnaryFunction& function, float x);

/// dst[i] = store(f(real(src[i]))), any formats. dst may be src's memory when their elements are equally
/// wide.
struct UnarySpec {
  UnaryFunction function;
  Format src, dst;
  int64_t count = 0;
};

void unary_reference(const UnarySpec& spec, const void* src, void* dst);
/// An 8-bit source goes through a table, built in each call; unary_table and unary_lookup build it once.
void unary(const UnarySpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);

/// f of every 8-bit source value, as stored elements: entry i belongs to the byte i (so -1 is entry 255).
struct UnaryTable {
  alignas(64) uint8_t entries[256 * 4] = {};
  int64_t entry_bytes = 1;  // of the destination: 1, 2 or 4
};

/// spec.src is u8 or s8; spec.count is not looked at. With the function `none` and an 8-bit destination:
/// requantization.
UnaryTable unary_table(const UnarySpec& spec);
void unary_lookup(const UnaryTable& table, const void* src, void* dst, int64_t count, Isa isa,
                  ThreadPool& pool);
/// The same for `rows` runs of n elements, pitches in bytes, on the calling thread.
void unary_lookup_rows(const UnaryTable& table, const void* src, int64_t src_pitch, void* dst,
                       int64_t dst_pitch, int64_t rows, int64_t n, Isa isa);

// ---- binary ----

/// prelu: a >= 0 ? a : a * b. min, max: b when either is NaN. pow: std::pow.
enum class Binary : uint8_t { add, sub, mul, div, pow, min, max, prelu };

const char* to_string(Binary op);
/// The plain definition for real operands.
float apply(Binary op, float a, float b);

/// dst = store(act(r)), dst dense over `extents`, operands with strides in elements (0 where they broadcast).
///   r = op(real(a), real(b)); when b is u8 or s8:
///   add: r = fma(float(b - b_zero), b_scale, real(a))     sub: r = fma(-float(b - b_zero), b_scale, real(a))
/// dst may be the memory of an operand that is dense over `extents` and equally wide.
struct BinarySpec {
  Binary op = Binary::add;
  Format a, b, dst;
  Activation activation = {};
  int rank = 0;  // 0: one element
  int64_t extents[kMaxRank] = {};
  int64_t a_strides[kMaxRank] = {}, b_strides[kMaxRank] = {};

  int64_t count() const;
  /// Sets rank, extents and strides from the shapes of two dense operands, NumPy rules. False when the shapes
  /// do not broadcast or the rank exceeds kMaxRank.
  bool set_shapes(std::span<const int64_t> a_shape, std::span<const int64_t> b_shape);
};

void binary_reference(const BinarySpec& spec, const void* a, const void* b, void* dst);
void binary(const BinarySpec& spec, const void* a, const void* b, void* dst, Isa isa, ThreadPool& pool);

}  // namespace narrow::kernels
