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
  image.below = (s.kh - 1) * s.dilation_h / s.stride_h;
  image.rows = s.oh + image.below;
  image.pixel_stride = s.stride_w * s.c;
  image.row_bytes = image.pitch * image.pixel_stride;
  for (int64_t i = 0; i < s.kh; ++i) image.phases.push_back(i * s.dilation_h % s.stride_h);
  std::sort(image.phases.begin(), image.phases.end());
  image.phases.erase(std::unique(image.phases.begin(), image.phases.end()), image.phases.end());
  return image;
}

std::vector<int64_t> s8_image_offsets(const ConvShape& s, const S8Layout& layout, const S8Image& image,
                                      int64_t count) {
  std::vector<int64_t> offsets;
  for (int64_t segment = 0; segment < layout.segments; ++segment) {
    const int64_t tap = segment * layout.taps_per_segment, y = tap / s.kw * s.dilation_h,
                  x = tap % s.kw * s.dilation_w;
    const int64_t phase =
        std::find(image.phases.begin(), image.phases.end(), y % s.stride_h) - image.phases.begin();
    offsets.push_back(phase * image.copied_rows(count) * image.row_bytes + y / s.stride_h * image.row_bytes +
                      x * s.c);
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

void s8_copy_rows(const ConvShape& s, const S8Image& image, uint8_t fill, const uint8_t* src, int64_t first,
                  int64_t count, int64_t room, uint8_t* to) {
  for (const int64_t phase : image.phases) {
    for (int64_t r = 0; r < image.copied_rows(count); ++r) {
      const int64_t n = (first + r) / image.rows,
                    y = (first + r) % image.rows * s.stride_h + phase - s.pad_top;
      const bool outside = n >= s.n || y < 0 || y >= s.h;
      fill_row(s, image, fill, outside ? nullptr : src + (n * s.h + y) * s.w * s.c, to + r * image.row_bytes);
    }
    to += image.copied_rows(room) * image.row_bytes;
  }
}

}  // namespace narrow::kernels
