// What depthwise convolutions slide over what: plain data, for ISA files.
#pragma once

#include <cstdint>

namespace narrow::kernels {

struct ConvShape;

/// As in ConvShape.
struct DwWindow {
  int64_t h = 0, w = 0, c = 0, oh = 0, ow = 0, kh = 0, kw = 0;
  int64_t stride_h = 1, stride_w = 1, pad_top = 0, pad_left = 0, dilation_h = 1, dilation_w = 1;
  int64_t src_pixel = 0, dst_pixel = 0;  // elements from pixel to pixel
};

DwWindow dw_window(const ConvShape& shape);

}  // namespace narrow::kernels
