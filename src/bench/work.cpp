#include "bench/work.h"

#include <algorithm>
#include <limits>
#include <set>

namespace narrow::bench {
namespace {

using ir::Op;

int64_t times(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<int64_t>::max() : product;
}

bool known(const ir::Value* value) { return value != nullptr && value->type.is_static(); }

/// Weights [O, C/group, kernel...]: each of the results sums the products of one output channel.
int64_t conv_macs(int64_t results, const Shape& w) {
  return w.empty() || w[0] == 0 ? 0 : times(results, elements_of(w) / w[0]);
}

/// Q x K' and scores x V: a row of Q and one of the result meet each key, whatever the number of heads.
int64_t attention_macs(const ir::Node& node) {
  if (!known(node.input(2))) return 0;
  const Shape q = node.input(0)->type.shape(), k = node.input(1)->type.shape();
  if (k.size() != 3 && k.size() != 4) return 0;
  int64_t keys = k[k.size() - 2];
  if (known(node.input(4)) && node.input(4)->type.rank() == 4) keys += node.input(4)->type.shape()[2];
  return times(add_counts(elements_of(q), elements_of(node.output()->type.shape())), keys);
}

/// W [directions, gates * hidden, input] and R meet each step of each sequence.
int64_t recurrent_macs(const ir::Node& node) {
  if (!known(node.input(2))) return 0;
  const Shape x = node.input(0)->type.shape(), w = node.input(1)->type.shape(),
              r = node.input(2)->type.shape();
  if (x.empty() || x.back() == 0) return 0;
  return times(elements_of(x) / x.back(), add_counts(elements_of(w), elements_of(r)));
}

/// Ops that read of their first input what they give out, not all of it.
bool picks(Op op) {
  return op == Op::Gather || op == Op::GatherElements || op == Op::GatherND || op == Op::Slice;
}

int64_t bytes_of_value(const ir::Value* value) {
  return known(value) ? times(elements_of(value->type.shape()), narrow::bytes_of(value->type.dtype)) : 0;
}

}  // namespace

int64_t add_counts(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<int64_t>::max() : sum;
}

int64_t macs_of(const ir::Node& node) {
  const auto& outputs = node.outputs();
  const auto made = std::find_if(outputs.begin(), outputs.end(), known);
  if (made == outputs.end() || !known(node.input(0)) || !known(node.input(1))) return 0;
  const Shape a = node.input(0)->type.shape(), b = node.input(1)->type.shape();
  const int64_t results = elements_of((*made)->type.shape());
  switch (node.op()) {
    case Op::Conv:
    case Op::ConvInteger:
    case Op::FusedConv:
      return conv_macs(results, b);
    case Op::ConvTranspose:  // weights [C, O/group, kernel...]: each element is spread over one of these
      return conv_macs(elements_of(a), b);
    case Op::Gemm:
      return a.size() != 2 ? 0 : times(results, a[node.int_attr("transA", 0) != 0 ? 0 : 1]);
    case Op::MatMul:
    case Op::MatMulInteger:
    case Op::MatMulNBits:
    case Op::FusedMatMul:
      return a.empty() ? 0 : times(results, a.back());
    case Op::Attention:
      return known(node.output()) ? attention_macs(node) : 0;
    case Op::RNN:
    case Op::GRU:
    case Op::LSTM:
      return recurrent_macs(node);
    default:
      return 0;
  }
}

int64_t bytes_moved(const ir::Node& node) {
  int64_t read = 0, written = 0;
  for (const ir::Value* output : node.outputs()) written = add_counts(written, bytes_of_value(output));
  std::set<const ir::Value*> seen;
  for (const ir::Value* input : node.inputs()) {
    if (!seen.insert(input).second) continue;
    const int64_t all = bytes_of_value(input);
    read = add_counts(read, input == node.input(0) && picks(node.op()) ? std::min(all, written) : all);
  }
  return add_counts(read, written);
}

const char* to_string(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::fp32:
      return "fp32";
    case Arithmetic::bf16:
      return "bf16";
    case Arithmetic::bf16x3:
      return "bf16x3";
    case Arithmetic::int8:
      return "int8";
    default:
      return "-";
  }
}

Arithmetic arithmetic_of(const ir::Node& node, const std::string& kernel, Isa isa) {
  if (macs_of(node) == 0) return Arithmetic::none;
  const DType a = node.input(0)->type.dtype, b = node.input(1)->type.dtype;
  const bool tiles = isa >= Isa::amx && kernel != "reference";
  if (node.op() == Op::Attention) {  // kernels/attention: tiles unless an operand is wider than bf16
    const DType v = node.input(2)->type.dtype;
    const auto narrow_enough = [](DType type) { return type == DType::bf16 || is_int8(type); };
    return tiles && narrow_enough(a) && narrow_enough(b) && narrow_enough(v) ? Arithmetic::bf16
                                                                             : Arithmetic::fp32;
  }
  if (is_int8(a) && is_int8(b)) return Arithmetic::int8;
  if (kernel.find("_f16_amx") != std::string::npos) return Arithmetic::bf16x3;
  for (const char* dots : {"bf16_amx", "bf16_avx512bf16"})
    if (kernel.find(dots) != std::string::npos) return Arithmetic::bf16;
  const bool products = node.op() == Op::MatMul && a == DType::bf16 && b == DType::bf16;
  return tiles && products ? Arithmetic::bf16 : Arithmetic::fp32;
}

double Roofs::gops(Arithmetic arithmetic) const {
  switch (arithmetic) {
    case Arithmetic::fp32:
      return fp32_gops;
    case Arithmetic::bf16:
      return bf16_gops;
    case Arithmetic::bf16x3:
      return bf16_gops / 3;
    case Arithmetic::int8:
      return int8_gops;
    default:
      return 0;
  }
}

double Roofs::gb_s(int64_t bytes) const { return bytes <= cache_bytes ? cache_gb_s : memory_gb_s; }

Roofs higher(const Roofs& a, const Roofs& b) {
  return {.fp32_gops = std::max(a.fp32_gops, b.fp32_gops),
          .bf16_gops = std::max(a.bf16_gops, b.bf16_gops),
          .int8_gops = std::max(a.int8_gops, b.int8_gops),
          .memory_gb_s = std::max(a.memory_gb_s, b.memory_gb_s),
          .cache_gb_s = std::max(a.cache_gb_s, b.cache_gb_s),
          .cache_bytes = std::max(a.cache_bytes, b.cache_bytes)};
}

Bound bound_of(int64_t macs, int64_t bytes, Arithmetic arithmetic, const Roofs& roofs) {
  Bound bound;
  const double gops = roofs.gops(arithmetic), gb_s = roofs.gb_s(bytes);
  if (gops > 0) bound.compute_ms = 2 * static_cast<double>(macs) / gops / 1e6;
  if (gb_s > 0) bound.memory_ms = static_cast<double>(bytes) / gb_s / 1e6;
  if (bound.compute_ms > 0 || bound.memory_ms > 0)
    bound.limit = bound.compute_ms >= bound.memory_ms ? "compute"
                  : bytes <= roofs.cache_bytes        ? "cache"
                                                      : "memory";
  return bound;
}

}  // namespace narrow::bench
