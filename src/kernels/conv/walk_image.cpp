#include "kernels/conv/walk_image.h"

#include <algorithm>

namespace narrow::kernels {

ConvImage conv_image(const ConvShape& s, int64_t interleaved) {
  ConvImage image;
  const int64_t window =
      (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1;  // pixels the taps reach, from the padding on
  const int64_t inside = std::min(s.pad_left + s.w, window);
  image.pitch = div_up(std::max(inside, window - s.pad_left), s.stride_w);
  image.pitch = std::max(image.pitch, s.ow);
  image.pixel_stride = s.stride_w * s.c;
  image.row_bytes = image.pitch * image.pixel_stride;
  image.interleaved = interleaved;
  if (interleaved > 1) {
    image.rows = s.oh;
    for (int64_t i = 0; i < s.kh; i += interleaved) image.phases.push_back(i);
    return image;
  }
  image.below = (s.kh - 1) * s.dilation_h / s.stride_h;
  // Padding below an image is the padding above the next one.
  const int64_t padded = s.oh + image.below, beyond = padded - div_up(s.h + s.pad_top, s.stride_h);
  image.rows = padded - std::clamp<int64_t>(beyond, 0, std::min(image.below, s.pad_top / s.stride_h));
  for (int64_t i = 0; i < s.kh; ++i) image.phases.push_back(i * s.dilation_h % s.stride_h);
  std::sort(image.phases.begin(), image.phases.end());
  image.phases.erase(std::unique(image.phases.begin(), image.phases.end()), image.phases.end());
  return image;
}

std::vector<int64_t> conv_image_offsets(const ConvShape& s, const ConvLayout& layout, const ConvImage& image,
                                        int64_t count) {
  std::vector<int64_t> offsets;
  for (int64_t segment = 0; segment < layout.segments; ++segment) {
    if (image.interleaved > 1) {
      offsets.push_back(segment * image.copied_rows(count) * image.row_bytes);
      continue;
    }
    const int64_t tap = segment * layout.taps_per_segment, y = tap / s.kw * s.dilation_h,
                  x = tap % s.kw * s.dilation_w;
    const int64_t phase =
        std::find(image.phases.begin(), image.phases.end(), y % s.stride_h) - image.phases.begin();
    offsets.push_back(phase * image.copied_rows(count) * image.row_bytes + y / s.stride_h * image.row_bytes +
                      x * s.c);
  }
  return offsets;
}

}  // namespace narrow::kernels
