// Moving elements: strided copies, which are slices, concatenations, expansions and transposes alike.
#pragma once

#include <cstdint>
#include <span>

#include "base/cpu.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

/// Most axes of a strided copy; more is for the caller to refuse.
constexpr int kMaxCopyRank = 8;

/// dst[sum i_d * dst_strides[d]] = src[sum i_d * src_strides[d]] for all i in extents. Strides in elements of
/// 1, 2, 4 or 8 bytes, any sign, 0 in src repeats. dst elements are distinct; dst and src do not overlap.
struct CopySpec {
  int rank = 0;
  int64_t element_bytes = 4;
  int64_t extents[kMaxCopyRank] = {};
  int64_t dst_strides[kMaxCopyRank] = {}, src_strides[kMaxCopyRank] = {};

  int64_t count() const;
};

void copy_nd_reference(const CopySpec& spec, const void* src, void* dst);
/// Axes are merged where both sides allow it; what is then a matrix transposition runs in blocks.
void copy_nd(const CopySpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool);
void copy_nd(void* dst, std::span<const int64_t> dst_strides, const void* src,
             std::span<const int64_t> src_strides, std::span<const int64_t> extents, int64_t element_bytes,
             Isa isa, ThreadPool& pool);

/// dst axis d is src axis permutation[d], both dense (ONNX Transpose). src_shape.size() <= kMaxCopyRank.
CopySpec transpose_spec(std::span<const int64_t> src_shape, std::span<const int64_t> permutation,
                        int64_t element_bytes);

/// rows x row_bytes between two pitches in bytes: one input of Concat, one output of Split, a Slice of one
/// axis. Concat on axis a: rows = product of axes before a, row_bytes = bytes of axes a.. of that input.
void copy_rows(void* dst, int64_t dst_pitch, const void* src, int64_t src_pitch, int64_t rows,
               int64_t row_bytes, ThreadPool& pool);

enum class PadMode : uint8_t { constant, reflect, edge, wrap };

/// ONNX Pad of a dense tensor; negative pads crop. Axis d of dst has shape[d] + before[d] + after[d] >= 0
/// elements.
struct PadSpec {
  PadMode mode = PadMode::constant;
  int rank = 0;
  int64_t element_bytes = 4;
  int64_t shape[kMaxCopyRank] = {}, before[kMaxCopyRank] = {}, after[kMaxCopyRank] = {};
};

/// value: one element for `constant`. Other modes want shape[d] >= 1 (reflect: any distance, bouncing).
void pad_reference(const PadSpec& spec, const void* src, const void* value, void* dst);
void pad(const PadSpec& spec, const void* src, const void* value, void* dst, ThreadPool& pool);

}  // namespace narrow::kernels
