// After merging, the axis with the smallest dst stride is the run. Either src runs along it too (rows are
// copied or filled), or along another axis (those two form matrices to transpose), or along none (element by
// element).
#include "kernels/layout/copy.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/aligned.h"
#include "kernels/layout/transpose.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kTaskBytes = 64 << 10;

struct Axis {
  int64_t extent, dst, src;  // strides in elements
};

struct Axes {
  int rank = 0;
  Axis axis[kMaxCopyRank];
  void remove(int d) {
    for (int i = d; i + 1 < rank; ++i) axis[i] = axis[i + 1];
    --rank;
  }
  int64_t count() const {
    int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= axis[d].extent;
    return n;
  }
};

/// Without axes of extent 1, in order of falling dst strides, neighbours joined where both sides walk them as
/// one.
Axes merged(const CopySpec& spec) {
  Axes sorted, axes;
  for (int d = 0; d < spec.rank; ++d) {  // by insertion: std::stable_sort would allocate in every run
    if (spec.extents[d] == 1) continue;
    int at = sorted.rank++;
    for (; at > 0 && std::abs(sorted.axis[at - 1].dst) < std::abs(spec.dst_strides[d]); --at)
      sorted.axis[at] = sorted.axis[at - 1];
    sorted.axis[at] = {spec.extents[d], spec.dst_strides[d], spec.src_strides[d]};
  }
  for (int d = 0; d < sorted.rank; ++d) {
    const Axis& next = sorted.axis[d];
    if (axes.rank > 0) {
      Axis& last = axes.axis[axes.rank - 1];
      if (last.dst == next.dst * next.extent && last.src == next.src * next.extent) {
        last = {last.extent * next.extent, next.dst, next.src};
        continue;
      }
    }
    axes.axis[axes.rank++] = next;
  }
  if (axes.rank == 0) axes.axis[axes.rank++] = {1, 1, 1};
  return axes;
}

/// Walks the outer axes: offsets of index `i`, then step by step.
class Odometer {
 public:
  Odometer(const Axes& axes, int64_t i) : axes_(axes) {
    for (int d = axes.rank - 1; d >= 0; --d) {
      at_[d] = i % axes.axis[d].extent;
      i /= axes.axis[d].extent;
      dst += at_[d] * axes.axis[d].dst;
      src += at_[d] * axes.axis[d].src;
    }
  }
  void next() {
    for (int d = axes_.rank - 1; d >= 0; --d) {
      const Axis& a = axes_.axis[d];
      dst += a.dst;
      src += a.src;
      if (++at_[d] < a.extent) return;
      at_[d] = 0;
      dst -= a.extent * a.dst;
      src -= a.extent * a.src;
    }
  }
  int64_t dst = 0, src = 0;

 private:
  const Axes& axes_;
  int64_t at_[kMaxCopyRank] = {};
};

template <class T>
void copy_strided(const uint8_t* src, int64_t src_stride, uint8_t* dst, int64_t dst_stride, int64_t n) {
  const T* from = reinterpret_cast<const T*>(src);
  T* to = reinterpret_cast<T*>(dst);
  for (int64_t i = 0; i < n; ++i) to[i * dst_stride] = from[i * src_stride];
}

/// Rows of two equal words that may overlap: any length from one word to two.
template <class Word>
void copy_words(const uint8_t* src, int64_t src_step, uint8_t* dst, int64_t dst_step, int64_t rows,
                int64_t bytes) {
  const int64_t second = bytes - static_cast<int64_t>(sizeof(Word));
  for (int64_t r = 0; r < rows; ++r, src += src_step, dst += dst_step) {
    Word a, b;
    std::memcpy(&a, src, sizeof a), std::memcpy(&b, src + second, sizeof b);
    std::memcpy(dst, &a, sizeof a), std::memcpy(dst + second, &b, sizeof b);
  }
}

/// `rows` rows of `bytes` bytes each, as far apart as the steps say. Short ones without a call for each.
void copy_dense_rows(const uint8_t* src, int64_t src_step, uint8_t* dst, int64_t dst_step, int64_t rows,
                     int64_t bytes) {
  struct Sixteen {
    uint64_t words[2];
  };
  if (bytes == 1) return copy_words<uint8_t>(src, src_step, dst, dst_step, rows, bytes);
  if (bytes < 4) return copy_words<uint16_t>(src, src_step, dst, dst_step, rows, bytes);
  if (bytes < 8) return copy_words<uint32_t>(src, src_step, dst, dst_step, rows, bytes);
  if (bytes < 16) return copy_words<uint64_t>(src, src_step, dst, dst_step, rows, bytes);
  if (bytes <= 32) return copy_words<Sixteen>(src, src_step, dst, dst_step, rows, bytes);
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(dst + r * dst_step, src + r * src_step, static_cast<size_t>(bytes));
}

struct Copy {
  const uint8_t* src;
  uint8_t* dst;
  int64_t bytes;  // of an element
  Isa isa;
  ThreadPool& pool;

  void row(const Axis& run, int64_t from, int64_t to, int64_t n) const {
    const uint8_t* s = src + from * bytes;
    uint8_t* d = dst + to * bytes;
    if (run.dst == 1 && run.src == 1) {
      std::memcpy(d, s, static_cast<size_t>(n * bytes));
    } else if (bytes == 1 && run.dst == 1 && run.src == 0) {
      std::memset(d, *s, static_cast<size_t>(n));
    } else if (bytes == 1) {
      copy_strided<uint8_t>(s, run.src, d, run.dst, n);
    } else if (bytes == 2) {
      copy_strided<uint16_t>(s, run.src, d, run.dst, n);
    } else if (bytes == 4) {
      copy_strided<uint32_t>(s, run.src, d, run.dst, n);
    } else {
      copy_strided<uint64_t>(s, run.src, d, run.dst, n);
    }
  }

  /// Of two axes, bytes that lie together in both.
  void short_rows(const Axis& outer, int64_t run) const {
    const int64_t from = outer.src * bytes, to = outer.dst * bytes;
    parallel_for(pool, outer.extent, std::max<int64_t>(1, kTaskBytes / (run * bytes)),
                 [&](int64_t begin, int64_t end) {
                   copy_dense_rows(src + begin * from, from, dst + begin * to, to, end - begin, run * bytes);
                 });
  }

  /// Short rows: several in a task. Long rows: several tasks in a row.
  void rows(Axes outer, const Axis& run) const {
    if (outer.rank == 1 && run.dst == 1 && run.src == 1 && run.extent * bytes <= kTaskBytes)
      return short_rows(outer.axis[0], run.extent);
    const int64_t piece = std::min(run.extent, std::max<int64_t>(1, kTaskBytes / bytes));
    const int64_t pieces = div_up(run.extent, piece), rows = outer.count();
    parallel_for(pool, rows * pieces, std::max<int64_t>(1, kTaskBytes / (piece * bytes)),
                 [&](int64_t begin, int64_t end) {
                   Odometer at(outer, begin / pieces);
                   for (int64_t u = begin; u < end; ++u) {
                     const int64_t first = u % pieces * piece;
                     row(run, at.src + first * run.src, at.dst + first * run.dst,
                         std::min(piece, run.extent - first));
                     if (u % pieces == pieces - 1) at.next();
                   }
                 });
  }

  void tile(const TransposeTile& t) const {
    if (isa >= Isa::avx512 && bytes <= 4)
      transpose_avx512(bytes, t);
    else
      transpose_plain(bytes, t);
  }

  /// `along`: contiguous in dst; `across`: contiguous in src. Tiles of 64 x 64, or long ones where an axis is
  /// tiny.
  void transposes(const Axes& outer, const Axis& along, const Axis& across) const {
    const int64_t tile_rows = across.extent <= 4 ? 4096 : 64, tile_columns = along.extent <= 4 ? 4096 : 64;
    const int64_t down = div_up(along.extent, tile_rows), right = div_up(across.extent, tile_columns);
    const int64_t tile_bytes =
        std::min(tile_rows, along.extent) * std::min(tile_columns, across.extent) * bytes;
    const auto body = [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const Odometer at(outer, u / (down * right));
        const int64_t i = u / right % down * tile_rows, j = u % right * tile_columns;
        tile({src + (at.src + i * along.src + j) * bytes, dst + (at.dst + i + j * across.dst) * bytes,
              along.src, across.dst, std::min(tile_rows, along.extent - i),
              std::min(tile_columns, across.extent - j)});
      }
    };
    parallel_for(pool, outer.count() * down * right, std::max<int64_t>(1, kTaskBytes / tile_bytes), body);
  }
};

}  // namespace

int64_t CopySpec::count() const {
  int64_t n = 1;
  for (int d = 0; d < rank; ++d) n *= extents[d];
  return n;
}

void copy_nd(const CopySpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  if (spec.count() == 0) return;
  Axes axes = merged(spec);
  const Copy copy{static_cast<const uint8_t*>(src), static_cast<uint8_t*>(dst), spec.element_bytes, isa,
                  pool};
  const Axis run = axes.axis[axes.rank - 1];
  axes.remove(axes.rank - 1);
  if (run.dst == 1 && run.src != 1 && run.src > 0)
    for (int d = axes.rank - 1; d >= 0; --d)
      if (axes.axis[d].src == 1 && axes.axis[d].dst > 0) {
        const Axis across = axes.axis[d];
        axes.remove(d);
        copy.transposes(axes, run, across);
        return;
      }
  copy.rows(axes, run);
}

void copy_nd(void* dst, std::span<const int64_t> dst_strides, const void* src,
             std::span<const int64_t> src_strides, std::span<const int64_t> extents, int64_t element_bytes,
             Isa isa, ThreadPool& pool) {
  CopySpec spec;
  spec.rank = static_cast<int>(std::min<size_t>(extents.size(), kMaxCopyRank));
  spec.element_bytes = element_bytes;
  for (int d = 0; d < spec.rank; ++d) {
    const auto at = static_cast<size_t>(d);
    spec.extents[d] = extents[at], spec.dst_strides[d] = dst_strides[at],
    spec.src_strides[d] = src_strides[at];
  }
  copy_nd(spec, src, dst, isa, pool);
}

CopySpec transpose_spec(std::span<const int64_t> src_shape, std::span<const int64_t> permutation,
                        int64_t element_bytes) {
  CopySpec spec;
  spec.rank = static_cast<int>(std::min<size_t>(src_shape.size(), kMaxCopyRank));
  spec.element_bytes = element_bytes;
  int64_t src_strides[kMaxCopyRank] = {}, stride = 1;
  for (int d = spec.rank - 1; d >= 0; --d) {
    src_strides[d] = stride;
    stride *= src_shape[static_cast<size_t>(d)];
  }
  stride = 1;
  for (int d = spec.rank - 1; d >= 0; --d) {
    const int64_t from = permutation[static_cast<size_t>(d)];
    spec.extents[d] = src_shape[static_cast<size_t>(from)];
    spec.src_strides[d] = src_strides[from];
    spec.dst_strides[d] = stride;
    stride *= spec.extents[d];
  }
  return spec;
}

void copy_rows(void* dst, int64_t dst_pitch, const void* src, int64_t src_pitch, int64_t rows,
               int64_t row_bytes, ThreadPool& pool) {
  const CopySpec spec{2, 1, {rows, row_bytes}, {dst_pitch, 1}, {src_pitch, 1}};
  copy_nd(spec, src, dst, Isa::plain, pool);
}

}  // namespace narrow::kernels
