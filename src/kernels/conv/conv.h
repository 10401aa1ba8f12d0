// Convolutions and products with constant weights, channels last:  dst = act(conv(src, w) + bias + residual)
//
// A matrix product A[m,k] x B[k,n] is the 1x1 convolution n=1, h=1, w=m, c=k, oc=n with weights Bᵀ.
// The family's table is conv_candidates(): in order of preference, each says what it supports, packs weights
// once and prepares a kernel for one shape. A prepared kernel is immutable and may run in many threads at
// once, each with its own buffers. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "base/cpu.h"
#include "kernels/activation.h"
#include "kernels/byte_function.h"
#include "kernels/tensor_quant.h"
#include "kernels/weight_stream.h"
#include "parallel/thread_pool.h"
#include "tensor/dtype.h"

namespace narrow::kernels {

struct ConvShape {
  int64_t n = 1, h = 1, w = 1, c = 1;  // src [n,h,w,c]; c counts all groups
  int64_t oh = 1, ow = 1, oc = 1;      // dst [n,oh,ow,oc]
  int64_t kh = 1, kw = 1;              // weights [oc, c/groups, kh, kw] (ONNX order)
  int64_t stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0, dilation_h = 1, dilation_w = 1, groups = 1;
  // Rows and columns beyond the input on the far side are padding too; oh and ow say how far the window goes.
  // Elements from pixel to pixel where src or dst is part of a wider tensor; 0: c or oc, their own. What is
  // between pixels may be read (to no effect) but not written. A residual is as far apart as dst.
  int64_t src_pitch = 0, dst_pitch = 0;

  int64_t macs() const { return n * oh * ow * oc * kh * kw * (c / groups); }
  bool is_pointwise() const {
    return kh == 1 && kw == 1 && pad_top == 0 && pad_left == 0 && stride_h == 1 && stride_w == 1 && oh == h &&
           ow == w;
  }
  int64_t src_pixel() const { return src_pitch > 0 ? src_pitch : c; }
  int64_t dst_pixel() const { return dst_pitch > 0 ? dst_pitch : oc; }
  bool is_depthwise() const { return groups == c && groups == oc && groups > 1; }
};

struct ConvSpec {
  ConvShape shape;
  DType src = DType::f32;  // f32 bf16 f16 u8 s8
  DType weights =
      DType::f32;  // f32 bf16 f16, s8 when src is u8 or s8; with bf16 an f32 src may be rounded to bf16
  DType dst = DType::f32;             // f32 bf16 f16 u8 s8
  DType residual = DType::undefined;  // undefined: none; else as dst's choices, [n,oh,ow,oc]
  bool bias = false;                  // f32, or s32 in units of x_scale * w_scale when src is an integer
  Activation activation;              // after the residual
  TensorQuant src_quant, dst_quant, residual_quant;  // where the type is u8 or s8
  std::vector<float> weight_scale;                   // s8 weights: 1 or oc entries; zero point 0
  /// Empty, or oc entries: scales of dst that stand for dst_quant's, output by output. Of integers out of
  /// integers, behind none or relu, without residual.
  std::vector<float> dst_scales = {};
  /// What stands for the activation where that is no clamp, between integers: give_function() decides. The
  /// reference and every kernel follow it.
  std::shared_ptr<const ByteFunction> function = {};

  /// What sums are brought to: dst's scale, or the positions' of a function.
  float dst_scale(int64_t o) const {
    if (function != nullptr) return function->step;
    return dst_scales.empty() ? dst_quant.scale : dst_scales[static_cast<size_t>(o)];
  }
};

/// Sets spec.function where src, dst and a residual are integers and byte_function() has one.
void give_function(ConvSpec& spec);

struct ConvWeights {
  const void* weights = nullptr;  // [oc, c/groups, kh, kw] in spec.weights; null where `stored` is given
  const void* bias = nullptr;     // [oc] f32 or s32, null when spec.bias is false
  std::span<const AlignedBuffer> stored = {};  // what PackedWeights::stored() gave: borrowed, not copied
};

/// Weights (and bias, scales, zero-point corrections) in the order one kernel reads them. Independent of the
/// spatial size and of the thread count, so all plans of a session share it.
class PackedWeights {
 public:
  virtual ~PackedWeights() = default;
  virtual int64_t bytes() const = 0;
  /// The parts that depend on the weights alone, not on bias and scales: what a file keeps instead of the
  /// weights. Empty: the kernel has no ConvStorage.
  virtual std::vector<std::span<const std::byte>> stored() const { return {}; }
};

/// What of packed weights can be kept in a file and turned back. Of the spec only c, oc, kh, kw, dilation,
/// groups and the weights' type are looked at.
struct ConvStorage {
  /// Bytes of every part.
  std::vector<int64_t> (*sizes)(const ConvSpec& spec) = nullptr;
  /// The weights [oc, c/groups, kh, kw] bit for bit; parts as sizes() says.
  void (*unpack)(const ConvSpec& spec, std::span<const AlignedBuffer> parts, std::byte* weights) = nullptr;
  /// Why this one cannot be kept (weights that are widened on packing), empty when it can.
  std::string (*refuses)(const ConvSpec& spec) = nullptr;
};

struct ConvBuffers {
  const void* src = nullptr;
  const void* residual = nullptr;
  void* dst = nullptr;      // may be the residual's memory: each element is read before it is written
  void* scratch = nullptr;  // scratch_bytes(), 64-byte aligned, contents irrelevant
  WeightStream next = {};   // what the kernel after this one reads: fetched into caches, where this one can
};

class ConvKernel {
 public:
  virtual ~ConvKernel() = default;
  /// Nothing, where it does not say.
  virtual WeightStream weights() const { return {}; }
  virtual int64_t scratch_bytes() const = 0;
  virtual void run(const ConvBuffers& buffers, ThreadPool& pool) const = 0;
};

struct ConvCandidate {
  const char* name;  // types, tile and ISA: "conv_u8s8_amx"
  Isa isa;
  /// Empty when it can run this; otherwise why not ("groups = 3: wants 1").
  std::string (*unsupported)(const ConvSpec& spec);
  std::shared_ptr<const PackedWeights> (*pack)(const ConvSpec& spec, const ConvWeights& weights);
  /// threads: how many the pool will have; partitioning only, never results.
  std::unique_ptr<ConvKernel> (*create)(const ConvSpec& spec, std::shared_ptr<const PackedWeights> packed,
                                        int threads);
  ConvStorage storage = {};  // null: packed anew at each start
  /// Why others are faster on this processor whatever the case, empty when it is worth running here. Null: it
  /// is wherever it can.
  std::string (*slower_here)() = nullptr;
};

/// All candidates, best first for a given case. Use those that runs_here() allows.
std::span<const ConvCandidate> conv_candidates();
/// Null when there is none of that name.
const ConvCandidate* find_conv_candidate(std::string_view name);

/// The whole contract in plain loops: any types, any shape. FP32 sums run over kh, kw, c in that order in
/// float (double when `exact`); integers accumulate in int32 and leave as kernels/requantize.h says.
void conv_reference(const ConvSpec& spec, const ConvWeights& weights, const ConvBuffers& buffers,
                    bool exact = false);

}  // namespace narrow::kernels
