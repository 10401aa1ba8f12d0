#include "kernels/conv/s8_image.h"

#include <algorithm>
#include <cstring>

namespace narrow::kernels {

S8Image s8_image(const ConvShape& s) {
  S8Image image;
  const int64_t window =
      (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1;  // pixels the taps reach, from the padding on
  const int64_t inside = std::min(s.pad_left + s.w, window);
  image.pitch = div_up(std::max(inside, window - s.pad_left), s.stride_w);
  image.pitch = std::max(image.pitch, s.ow);
  image.rows = s.oh + (s.kh - 1) * s.dilation_h / s.stride_h;
  image.pixel_stride = s.stride_w * s.c;
  image.row_bytes = image.pitch * image.pixel_stride;
  for (int64_t i = 0; i < s.kh; ++i) image.phases.push_back(i * s.dilation_h % s.stride_h);
  std::sort(image.phases.begin(), image.phases.end());
  image.phases.erase(std::unique(image.phases.begin(), image.phases.end()), image.phases.end());
  return image;
}

std::vector<int64_t> s8_image_offsets(const ConvShape& s, const S8Layout& layout, const S8Image& image,
                                      int64_t images) {
  std::vector<int64_t> offsets;
  for (int64_t segment = 0; segment < layout.segments; ++segment) {
    const int64_t tap = segment * layout.taps_per_segment, y = tap / s.kw * s.dilation_h,
                  x = tap % s.kw * s.dilation_w;
    const int64_t phase =
        std::find(image.phases.begin(), image.phases.end(), y % s.stride_h) - image.phases.begin();
    offsets.push_back(phase * image.phase_bytes(images) + y / s.stride_h * image.row_bytes + x * s.c);
  }
  return offsets;
}

namespace {

/// One row: left padding, pixels, right padding.
void fill_row(const ConvShape& s, const S8Image& image, uint8_t fill, const uint8_t* row, uint8_t* to) {
  if (row == nullptr) {
    std::memset(to, fill, static_cast<size_t>(image.row_bytes));
    return;
  }
  const int64_t left = std::min(s.pad_left * s.c, image.row_bytes),
                middle = std::min(s.w * s.c, image.row_bytes - left);
  std::memset(to, fill, static_cast<size_t>(left));
  std::memcpy(to + left, row, static_cast<size_t>(middle));
  std::memset(to + left + middle, fill, static_cast<size_t>(image.row_bytes - left - middle));
}

}  // namespace

void s8_fill_image(const ConvShape& s, const S8Image& image, int64_t images, uint8_t fill, const uint8_t* src,
                   uint8_t* to, ThreadPool& pool) {
  const int64_t phase_rows = images * image.rows,
                rows = phase_rows * static_cast<int64_t>(image.phases.size());
  const int64_t grain = std::max<int64_t>(1, (16 << 10) / std::max<int64_t>(1, image.row_bytes));
  parallel_for(pool, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t phase = image.phases[static_cast<size_t>(r / phase_rows)],
                    n = r % phase_rows / image.rows;
      const int64_t y = r % image.rows * s.stride_h + phase - s.pad_top;
      const bool outside = y < 0 || y >= s.h;
      fill_row(s, image, fill, outside ? nullptr : src + (n * s.h + y) * s.w * s.c, to + r * image.row_bytes);
    }
  });
  std::memset(to + rows * image.row_bytes, fill, static_cast<size_t>(s.pad_left * s.c));
}

}  // namespace narrow::kernels
