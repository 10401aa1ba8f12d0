// Broadcasting: axes are merged until few are left; the innermost becomes a run over which each operand is
// dense, one value, a repeated vector (bias, per-channel scale), or strided. Runs are cut into units of at
// most kRun elements.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/aligned.h"
#include "kernels/elementwise/runs.h"
#include "kernels/lanes/element.h"
#include "kernels/lanes/lanes.h"

namespace narrow::kernels {
namespace {

struct Operand {
  const void* data;
  Format format;
  int64_t strides[kMaxRank];  // of the outer axes
  int64_t step;               // within the run: 1 dense, 0 one value, else strided
  int64_t period;             // > 0: element j of the run is element j % period
};

struct Loops {
  int outer_rank = 0;
  int64_t outer[kMaxRank] = {};
  int64_t outer_count = 1;
  int64_t run = 1;   // elements of the innermost loop
  int64_t unit = 1;  // of which one step computes at most so many
  Operand a, b;
};

/// Drops axes of extent 1 and joins neighbours that both operands traverse as one.
int merge_axes(const BinarySpec& spec, int64_t* extents, int64_t* sa, int64_t* sb) {
  int rank = 0;
  for (int d = 0; d < spec.rank; ++d) {
    if (spec.extents[d] == 1) continue;
    const bool joins = rank > 0 && sa[rank - 1] == spec.a_strides[d] * spec.extents[d] &&
                       sb[rank - 1] == spec.b_strides[d] * spec.extents[d];
    if (!joins) extents[rank++] = 1;
    extents[rank - 1] *= spec.extents[d];
    sa[rank - 1] = spec.a_strides[d];
    sb[rank - 1] = spec.b_strides[d];
  }
  return rank;
}

/// Whether the two inner axes [m, p] are one run for this operand: dense or one value; or a vector of p,
/// repeated.
bool spans(int64_t outer_stride, int64_t inner_stride, int64_t p) { return outer_stride == inner_stride * p; }
bool repeats(int64_t outer_stride, int64_t inner_stride) { return outer_stride == 0 && inner_stride == 1; }

Loops make_loops(const BinarySpec& spec, const void* a, const void* b) {
  int64_t extents[kMaxRank] = {}, sa[kMaxRank] = {}, sb[kMaxRank] = {};
  int rank = merge_axes(spec, extents, sa, sb);
  Loops loops;
  loops.a = {a, spec.a, {}, 0, 0};
  loops.b = {b, spec.b, {}, 0, 0};
  if (rank > 0) {
    loops.run = extents[--rank];
    loops.a.step = sa[rank];
    loops.b.step = sb[rank];
  }
  loops.unit = kRun;
  if (rank > 0 && loops.run <= kRun / 2) {
    const int64_t p = loops.run, oa = sa[rank - 1], ob = sb[rank - 1];
    const bool b_repeats = spans(oa, loops.a.step, p) && repeats(ob, loops.b.step);
    const bool a_repeats = spans(ob, loops.b.step, p) && repeats(oa, loops.a.step);
    if (a_repeats || b_repeats) {
      (b_repeats ? loops.b : loops.a).period = p;
      loops.run *= extents[--rank];
      loops.unit = kRun / p * p;
    }
  }
  loops.unit = std::min(loops.unit, loops.run);
  loops.outer_rank = rank;
  for (int d = 0; d < rank; ++d) {
    loops.outer[d] = extents[d];
    loops.outer_count *= extents[d];
    loops.a.strides[d] = sa[d];
    loops.b.strides[d] = sb[d];
  }
  return loops;
}

/// The operand's elements of one unit as FP32.
class Reader {
 public:
  Reader(const Operand& operand, int64_t unit, Isa isa) : o_(operand), unit_(unit), isa_(isa) {}

  /// base: the operand's offset of the run; begin: first element within the run (a multiple of the unit).
  const float* read(int64_t base, int64_t begin, int64_t n) {
    if (o_.period > 0 || o_.step == 0) {
      if (base != cached_) fill(base);
      return buffer_;
    }
    if (o_.step == 1) return run_as_f32(o_.format, o_.data, base + begin, n, buffer_, isa_);
    for (int64_t j = 0; j < n; ++j) buffer_[j] = load_real(o_.format, o_.data, base + (begin + j) * o_.step);
    return buffer_;
  }

 private:
  /// What repeats is laid out once for a whole unit and kept until the run changes.
  void fill(int64_t base) {
    const int64_t period = o_.period > 0 ? o_.period : 1;
    load_run(o_.format, o_.data, base, period, buffer_, isa_);
    for (int64_t j = period; j < unit_; ++j) buffer_[j] = buffer_[j - period];
    cached_ = base;
  }

  const Operand& o_;
  int64_t unit_;
  Isa isa_;
  int64_t cached_ = -1;
  alignas(64) float buffer_[kRun];
};

int64_t offset_of(const Loops& loops, const Operand& operand, int64_t outer) {
  int64_t offset = 0;
  for (int d = loops.outer_rank - 1; d >= 0; --d) {
    offset += outer % loops.outer[d] * operand.strides[d];
    outer /= loops.outer[d];
  }
  return offset;
}

bool adds_integers(const BinarySpec& spec) {
  return is_int8(spec.b.type) && (spec.op == Binary::add || spec.op == Binary::sub);
}

ByteOperand byte_operand(const Format& f) {
  const bool is_signed = f.type == DType::s8;
  return {static_cast<uint8_t>(is_signed ? 0x80 : 0), f.quant.scale, 1.0F / f.quant.scale,
          f.quant.zero_point + (is_signed ? 128 : 0)};
}

/// Precondition: the activation is none, relu or clip.
ByteBinary byte_binary(const BinarySpec& spec, const Format& a, const Format& b) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  ByteBinary bytes{spec.op, byte_operand(a), byte_operand(b), byte_operand(spec.dst), -kInf, kInf};
  if (spec.activation.kind == Act::relu) bytes.low = 0;
  if (spec.activation.kind == Act::clip) bytes.low = spec.activation.alpha, bytes.high = spec.activation.beta;
  return bytes;
}

/// Bytes in a row times what repeats along it: the gates of squeeze-and-excite blocks.
bool scales_bytes(const BinarySpec& spec, const Operand& x, const Operand& gate, Isa isa) {
  return isa >= Isa::avx512 && spec.op == Binary::mul && is_int8(x.format.type) && is_int8(spec.dst.type) &&
         spec.activation.is_clamp() && x.step == 1 && x.period == 0 && (gate.period > 0 || gate.step == 0);
}

/// Units [begin, end), numbered through all outer indices.
void compute_units(const BinarySpec& spec, Loops loops, void* dst, int64_t begin, int64_t end, Isa isa) {
  const float b_scale = spec.b.quant.scale;
  const bool fused = adds_integers(spec);
  if (fused) loops.b.format.quant.scale = 1;  // float(q - zero_point), the scale comes with the fma
  Reader a(loops.a, loops.unit, isa), b(loops.b, loops.unit, isa);
  const bool scales_b = scales_bytes(spec, loops.b, loops.a, isa),
             scales = scales_b || scales_bytes(spec, loops.a, loops.b, isa);
  const ByteBinary bytes = scales ? byte_binary(spec, scales_b ? spec.b : spec.a, {}) : ByteBinary{};
  alignas(64) float buffer[kRun];
  const int64_t units_per_run = div_up(loops.run, loops.unit);
  int64_t outer = -1, a_base = 0, b_base = 0;
  for (int64_t u = begin; u < end; ++u) {
    if (u / units_per_run != outer) {
      outer = u / units_per_run;
      a_base = offset_of(loops, loops.a, outer);
      b_base = offset_of(loops, loops.b, outer);
    }
    const int64_t first = (u - outer * units_per_run) * loops.unit,
                  n = std::min(loops.unit, loops.run - first);
    const int64_t at = outer * loops.run + first;
    if (scales) {
      const Operand& x = scales_b ? loops.b : loops.a;
      const float* gates = scales_b ? a.read(a_base, first, n) : b.read(b_base, first, n);
      scale_bytes_avx512(bytes, static_cast<const uint8_t*>(x.data) + (scales_b ? b_base : a_base) + first,
                         gates, static_cast<uint8_t*>(dst) + at, n);
      continue;
    }
    float* y = run_to_f32(spec.dst, dst, at, buffer);
    const float* x = a.read(a_base, first, n);
    binary_run(spec.op, x, b.read(b_base, first, n), fused ? &b_scale : nullptr, y, n, isa);
    if (spec.activation.kind != Act::none) unary_run({Unary::activation, spec.activation}, y, y, n, isa);
    if (spec.dst.type != DType::f32) store_run(spec.dst, y, dst, at, n, isa);
  }
}

bool suits_bytes(const BinarySpec& spec, const Loops& loops, Isa isa) {
  return isa >= Isa::avx512 && (spec.op == Binary::add || spec.op == Binary::mul) && is_int8(spec.a.type) &&
         is_int8(spec.b.type) && is_int8(spec.dst.type) && spec.activation.is_clamp() &&
         loops.outer_count == 1 && loops.a.step == 1 && loops.b.step == 1 &&
         loops.a.period + loops.b.period == 0;
}

void run_bytes(const BinarySpec& spec, const void* a, const void* b, void* dst, ThreadPool& pool) {
  const ByteBinary bytes = byte_binary(spec, spec.a, spec.b);
  parallel_for(pool, spec.count(), 32 * kRun, [&](int64_t begin, int64_t end) {
    binary_bytes_avx512(bytes, static_cast<const uint8_t*>(a) + begin, static_cast<const uint8_t*>(b) + begin,
                        static_cast<uint8_t*>(dst) + begin, end - begin);
  });
}

}  // namespace

void binary_run(Binary op, const float* a, const float* b, const float* b_scale, float* y, int64_t n,
                Isa isa) {
  if (isa >= Isa::avx512 && binary_run_avx512(op, a, b, b_scale, y, n)) return;
  if (isa >= Isa::avx2 && binary_run_avx2(op, a, b, b_scale, y, n)) return;
  if (b_scale != nullptr) {
    const float sign = op == Binary::add ? 1.0F : -1.0F;
    for (int64_t i = 0; i < n; ++i) y[i] = std::fma(sign * b[i], *b_scale, a[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) y[i] = apply(op, a[i], b[i]);
}

void binary(const BinarySpec& spec, const void* a, const void* b, void* dst, Isa isa, ThreadPool& pool) {
  if (spec.count() == 0) return;
  const Loops loops = make_loops(spec, a, b);
  if (suits_bytes(spec, loops, isa)) {
    run_bytes(spec, a, b, dst, pool);
    return;
  }
  const int64_t units = loops.outer_count * div_up(loops.run, loops.unit);
  const int64_t grain = std::max<int64_t>(1, 16 * kRun / loops.unit);
  parallel_for(pool, units, grain,
               [&](int64_t begin, int64_t end) { compute_units(spec, loops, dst, begin, end, isa); });
}

}  // namespace narrow::kernels
