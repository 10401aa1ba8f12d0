#include "kernels/quantize/image.h"

#include <algorithm>

#include "base/aligned.h"
#include "kernels/layout/interleave.h"
#include "kernels/layout/transpose.h"
#include "kernels/quantize/code_runs.h"
#include "kernels/quantize/planes.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kPlanes = 16;      // channels at a time
constexpr int64_t kBytes = 8 << 10;  // codes of a piece, in L1 until they are transposed

/// [channels][count] -> [count][channels].
void to_pixels(const uint8_t* planes, int64_t channels, int64_t count, uint8_t* dst, int64_t pitch, Isa isa) {
  if (isa >= Isa::avx512_vnni && pitch == channels && channels >= kMinRows && channels <= kMaxRows) {
    const uint8_t* rows[kMaxRows] = {};
    for (int64_t c = 0; c < channels; ++c) rows[c] = planes + c * count;
    return interleave_avx512vnni(interleave_plan(channels, 1), rows, count, 0, dst);
  }
  if (isa >= Isa::avx2 && pitch == channels && channels >= kFewestPlanes && channels <= kMostPlanes)
    return planes_to_pixels_avx2(planes, channels, count, dst);
  const TransposeTile tile{planes, dst, count, pitch, channels, count};
  isa >= Isa::avx512 ? transpose_avx512(1, tile) : transpose_plain(1, tile);
}

/// Pixels [begin, end) of one image: some channels' codes as planes, then from these to where they belong.
void quantize_piece(const QuantizeImageSpec& spec, const uint8_t* src, uint8_t* dst, int64_t begin,
                    int64_t end, Isa isa) {
  alignas(64) uint8_t planes[kBytes];
  const int64_t count = end - begin, src_bytes = bytes_of(spec.src);
  for (int64_t first = 0; first < spec.channels; first += kPlanes) {
    const int64_t some = std::min(kPlanes, spec.channels - first);
    for (int64_t c = 0; c < some; ++c) {
      const CodeRun run{spec.src,           spec.dst, src + ((first + c) * spec.pixels + begin) * src_bytes,
                        planes + c * count, count,    &spec.scale,
                        &spec.zero_point,   false};
      quantize_run(run, isa);
    }
    to_pixels(planes, some, count, dst + begin * spec.channels + first, spec.channels, isa);
  }
}

}  // namespace

void quantize_image(const QuantizeImageSpec& spec, const void* src, void* dst, Isa isa, ThreadPool& pool) {
  const int64_t pixels = kBytes / std::min(std::max<int64_t>(spec.channels, 1), kPlanes) / 64 * 64,
                pieces = div_up(spec.pixels, pixels), bytes = spec.channels * spec.pixels;
  if (bytes == 0) return;
  pool.run(spec.images * pieces, [&](int64_t index) {
    const int64_t image = index / pieces, begin = index % pieces * pixels;
    quantize_piece(spec, static_cast<const uint8_t*>(src) + image * bytes * bytes_of(spec.src),
                   static_cast<uint8_t*>(dst) + image * bytes, begin, std::min(begin + pixels, spec.pixels),
                   isa);
  });
}

}  // namespace narrow::kernels
