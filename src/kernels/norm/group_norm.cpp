#include "kernels/norm/group_norm.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/aligned.h"
#include "kernels/lanes/lanes.h"
#include "kernels/norm/group_norm_block.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kBlockElements = 4096;  // 16 KiB: read from memory once, from L1 the second time
constexpr int64_t kLeastRows = 64;
constexpr int64_t kTaskElements = 16384;  // about 2 us

/// Mean and summed squared distances from it.
struct Moments {
  double mean, spread;
};

/// How src is cut: into blocks of pixels, and these into chunks of channels. A chunk is some whole groups, or
/// part of one; what it has of a group is one part.
struct Cut {
  const GroupNormSpec& spec;
  int64_t width = spec.channels / spec.groups;  // channels of a group
  int64_t rows =
      std::clamp(kBlockElements / std::min(spec.channels, kBlockChannels), kLeastRows, kGroupNormRows);
  int64_t blocks = div_up(spec.pixels, rows);
  int64_t parts_of_group = div_up(width, kBlockChannels);
  int64_t parts = spec.groups * parts_of_group;
  int64_t groups_at_once = std::max<int64_t>(1, std::min(spec.groups, kBlockChannels / width));
  int64_t chunks = parts_of_group > 1 ? parts : div_up(spec.groups, groups_at_once);

  int64_t rows_of(int64_t block) const { return std::min(rows, spec.pixels - block * rows); }
  /// Channels of part i of a group.
  int64_t width_of(int64_t i) const { return std::min(kBlockChannels, width - i * kBlockChannels); }
};

/// What one normalisation keeps in scratch memory.
struct Scratch {
  Moments* parts;               // [images, blocks, parts]
  float *mean, *scale, *shift;  // [images, channels] each

  static int64_t moments_bytes(const Cut& cut) {
    return round_up(cut.spec.images * cut.blocks * cut.parts * static_cast<int64_t>(sizeof(Moments)),
                    kCacheLine);
  }
  Scratch(const Cut& cut, void* memory)
      : parts(static_cast<Moments*>(memory)),
        mean(reinterpret_cast<float*>(static_cast<uint8_t*>(memory) + moments_bytes(cut))),
        scale(mean + cut.spec.images * cut.spec.channels),
        shift(scale + cut.spec.images * cut.spec.channels) {}
};

/// Sums of the channels of a chunk over one block.
struct Sums {
  alignas(64) std::array<float, kBlockChannels> pivot, first, second;

  Moments channel(size_t c, double rows) const {
    const double off = static_cast<double>(first[c]) / rows;
    return {static_cast<double>(pivot[c]) + off,
            std::max(static_cast<double>(second[c]) - off * static_cast<double>(first[c]), 0.0)};
  }
};

/// Four sums, so that additions overlap.
template <class F>
double sum_over(int64_t begin, int64_t end, F f) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int64_t i = begin;
  for (; i + 4 <= end; i += 4) s0 += f(i), s1 += f(i + 1), s2 += f(i + 2), s3 += f(i + 3);
  for (; i < end; ++i) s0 += f(i);
  return (s0 + s1) + (s2 + s3);
}

/// Of the channels [begin, end), each seen `rows` times.
Moments moments_of(const Sums& sums, int64_t begin, int64_t end, double rows) {
  std::array<double, kBlockChannels> means;
  double spread = 0;
  for (int64_t c = begin; c < end; ++c) {
    const Moments channel = sums.channel(static_cast<size_t>(c), rows);
    means[static_cast<size_t>(c)] = channel.mean;
    spread += channel.spread;
  }
  const auto at = [&](int64_t c) { return means[static_cast<size_t>(c)]; };
  const double mean = sum_over(begin, end, at) / static_cast<double>(end - begin);
  const double between = sum_over(begin, end, [&](int64_t c) { return (at(c) - mean) * (at(c) - mean); });
  return {mean, spread + rows * between};
}

/// The moments of one chunk of one block, in its places of scratch.parts.
void sum_chunk(const Cut& cut, const GroupNormBuffers& b, const Scratch& scratch, int64_t item, Isa isa) {
  const auto kernel = isa >= Isa::avx512 ? group_norm_block_avx512
                      : isa >= Isa::avx2 ? group_norm_block_avx2
                                         : group_norm_block_plain;
  const GroupNormSpec& spec = cut.spec;
  const int64_t chunk = item % cut.chunks, at = item / cut.chunks, block = at % cut.blocks,
                image = at / cut.blocks, rows = cut.rows_of(block);
  const bool whole_groups = cut.parts_of_group == 1;
  const int64_t part = whole_groups ? chunk * cut.groups_at_once : chunk;
  const int64_t parts = whole_groups ? std::min(cut.groups_at_once, spec.groups - part) : 1;
  const int64_t begin =
      whole_groups ? part * cut.width
                   : chunk / cut.parts_of_group * cut.width + chunk % cut.parts_of_group * kBlockChannels;
  const int64_t width = whole_groups ? cut.width : cut.width_of(chunk % cut.parts_of_group);
  const int64_t channels = parts * width,
                first = (image * spec.pixels + block * cut.rows) * spec.channels + begin;
  alignas(64) std::array<float, kBlockElements> buffer;
  Sums sums;
  GroupNormBlock work = {nullptr,           spec.channels,     rows, channels, sums.pivot.data(),
                         sums.first.data(), sums.second.data()};
  if (spec.src.type == DType::f32) {
    work.x = static_cast<const float*>(b.src) + first;
  } else {
    const bool dense = channels == spec.channels;
    const int64_t runs = dense ? 1 : rows, n = rows * channels / runs;
    for (int64_t r = 0; r < runs; ++r)
      load_run(spec.src, b.src, first + r * spec.channels, n, buffer.data() + r * n, isa);
    work.x = buffer.data(), work.pitch = channels;
  }
  kernel(work);
  Moments* out = scratch.parts + at * cut.parts + part;
  for (int64_t i = 0; i < parts; ++i)
    out[i] = moments_of(sums, i * width, (i + 1) * width, static_cast<double>(rows));
}

/// All parts of one group of one image, and from them what its channels are normalised with. The mean is
/// taken off in FP32 as far as it is an FP32 number; what is left of it goes into the shift.
void finish_group(const Cut& cut, const GroupNormBuffers& b, const Scratch& scratch, int64_t image,
                  int64_t group) {
  const GroupNormSpec& spec = cut.spec;
  const auto count = static_cast<double>(spec.pixels * cut.width);
  const auto each = [&](auto f) {
    for (int64_t block = 0; block < cut.blocks; ++block)
      for (int64_t i = 0; i < cut.parts_of_group; ++i)
        f(scratch.parts[(image * cut.blocks + block) * cut.parts + group * cut.parts_of_group + i],
          static_cast<double>(cut.rows_of(block) * cut.width_of(i)));
  };
  double mean = 0, spread = 0;
  each([&](const Moments& part, double n) { mean += part.mean * n; });
  mean /= count;
  each([&](const Moments& part, double n) {
    spread += part.spread + n * (part.mean - mean) * (part.mean - mean);
  });
  const double inverse = 1 / std::sqrt(spread / count + static_cast<double>(spec.epsilon));
  const auto taken_off = static_cast<float>(mean);
  const double left = mean - static_cast<double>(taken_off);
  for (int64_t c = group * cut.width; c < (group + 1) * cut.width; ++c) {
    const double scale = b.gamma != nullptr ? inverse * static_cast<double>(b.gamma[c]) : inverse;
    const double beta = b.beta != nullptr ? static_cast<double>(b.beta[c]) : 0;
    const int64_t at = image * spec.channels + c;
    scratch.mean[at] = taken_off;
    scratch.scale[at] = static_cast<float>(scale);
    scratch.shift[at] = static_cast<float>(beta - left * scale);
  }
}

/// Pixels [begin, end) of one image.
void normalise_pixels(const GroupNormSpec& spec, const GroupNormBuffers& b, const Scratch& scratch,
                      int64_t image, int64_t begin, int64_t end, Isa isa) {
  const auto kernel = isa >= Isa::avx512 ? group_norm_run_avx512
                      : isa >= Isa::avx2 ? group_norm_run_avx2
                                         : group_norm_run_plain;
  alignas(64) std::array<float, kRun> from, to;
  const int64_t channels = spec.channels, rows_at_once = std::max<int64_t>(1, kRun / channels);
  const int64_t start = image * spec.pixels * channels, parameters = image * channels;
  for (int64_t p = begin; p < end; p += rows_at_once)
    for (int64_t c = 0; c < channels; c += kRun) {
      const int64_t n =
          channels > kRun ? std::min(kRun, channels - c) : std::min(rows_at_once, end - p) * channels;
      const int64_t at = start + p * channels + c;
      float* y = run_to_f32(spec.dst, b.dst, at, to.data());
      kernel({run_as_f32(spec.src, b.src, at, n, from.data(), isa), y, n, channels,
              scratch.mean + parameters + c, scratch.scale + parameters + c, scratch.shift + parameters + c});
      if (spec.dst.type != DType::f32) store_run(spec.dst, y, b.dst, at, n, isa);
    }
}

/// Of `items` items that have `elements` together: a few for each thread, none too short to hand out.
int64_t grain_of(int64_t items, int64_t elements, const ThreadPool& pool) {
  const int64_t pieces = std::clamp<int64_t>(elements / kTaskElements, 1, 4 * pool.threads());
  return div_up(items, pieces);
}

}  // namespace

int64_t group_norm_scratch_bytes(const GroupNormSpec& spec) {
  if (spec.images == 0 || spec.pixels == 0 || spec.channels == 0) return 0;
  return Scratch::moments_bytes(Cut{spec}) + 3 * spec.images * spec.channels * 4;
}

void group_norm(const GroupNormSpec& spec, const GroupNormBuffers& buffers, Isa isa, ThreadPool& pool) {
  if (spec.images == 0 || spec.pixels == 0 || spec.channels == 0) return;
  const Cut cut{spec};
  const Scratch scratch(cut, buffers.scratch);
  const int64_t elements = spec.images * spec.pixels * spec.channels;
  const int64_t chunks = spec.images * cut.blocks * cut.chunks;
  parallel_for(pool, chunks, grain_of(chunks, elements, pool), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum_chunk(cut, buffers, scratch, i, isa);
  });
  const int64_t groups = spec.images * spec.groups, moments = spec.images * cut.blocks * cut.parts;
  parallel_for(pool, groups, grain_of(groups, 4 * moments, pool), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      finish_group(cut, buffers, scratch, i / spec.groups, i % spec.groups);
  });
  const int64_t pixels = spec.images * spec.pixels;
  parallel_for(pool, pixels, grain_of(pixels, elements, pool), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end;) {
      const int64_t image = p / spec.pixels, first = p % spec.pixels,
                    last = std::min(spec.pixels, first + end - p);
      normalise_pixels(spec, buffers, scratch, image, first, last, isa);
      p += last - first;
    }
  });
}

void group_norm_block_plain(const GroupNormBlock& b) {
  const auto rows = static_cast<float>(b.rows);
  for (int64_t c = 0; c < b.channels; ++c) b.pivot[c] = b.first[c] = b.second[c] = 0;
  for (int64_t r = 0; r < b.rows; ++r)
    for (int64_t c = 0; c < b.channels; ++c) b.pivot[c] += b.x[r * b.pitch + c];
  for (int64_t c = 0; c < b.channels; ++c) b.pivot[c] /= rows;
  for (int64_t r = 0; r < b.rows; ++r)
    for (int64_t c = 0; c < b.channels; ++c) {
      const float d = b.x[r * b.pitch + c] - b.pivot[c];
      b.first[c] += d;
      b.second[c] += d * d;
    }
}

void group_norm_run_plain(const GroupNormRun& run) {
  for (int64_t i = 0; i < run.n; i += run.channels)
    for (int64_t c = 0; c < std::min(run.channels, run.n - i); ++c)
      run.y[i + c] = (run.x[i + c] - run.mean[c]) * run.scale[c] + run.shift[c];
}

}  // namespace narrow::kernels
