#include "kernels/conv/dw_window.h"

#include "kernels/conv/conv.h"

namespace narrow::kernels {

DwWindow dw_window(const ConvShape& s) {
  return {.h = s.h,
          .w = s.w,
          .c = s.c,
          .oh = s.oh,
          .ow = s.ow,
          .kh = s.kh,
          .kw = s.kw,
          .stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .pad_top = s.pad_top,
          .pad_left = s.pad_left,
          .dilation_h = s.dilation_h,
          .dilation_w = s.dilation_w,
          .src_pixel = s.src_pixel(),
          .dst_pixel = s.dst_pixel()};
}

}  // namespace narrow::kernels
