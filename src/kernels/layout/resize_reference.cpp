#include <cmath>
#include <vector>

#include "kernels/lanes/element.h"
#include "kernels/layout/resize.h"
#include "kernels/layout/resize_taps.h"

namespace narrow::kernels {

void resize_reference(const ResizeSpec& s, const void* src, void* dst) {
  std::vector<ResizeTap> rows(static_cast<size_t>(s.oh)), columns(static_cast<size_t>(s.ow));
  resize_taps(s, s.h, s.oh, s.scale_h, rows.data());
  resize_taps(s, s.w, s.ow, s.scale_w, columns.data());
  const Format stored{s.type, {1, 0}};
  const auto lerp = [](float a, float b, float f) { return std::fma(b - a, f, a); };
  for (int64_t d = 0; d < s.n * s.oh * s.ow * s.c; ++d) {
    const int64_t c = d % s.c, x = d / s.c % s.ow, y = d / s.c / s.ow % s.oh, n = d / s.c / s.ow / s.oh;
    const ResizeTap &v = rows[static_cast<size_t>(y)], &h = columns[static_cast<size_t>(x)];
    const auto at = [&](int64_t row, int64_t column) {
      return load_real(stored, src, ((n * s.h + row) * s.w + column) * s.c + c);
    };
    float r = at(v.low, h.low);
    if (s.mode == ResizeMode::linear) {
      const float top = lerp(r, at(v.low, h.high), h.fraction);
      const float bottom = lerp(at(v.high, h.low), at(v.high, h.high), h.fraction);
      r = lerp(top, bottom, v.fraction);
    }
    store_real(stored, dst, d, r);
  }
}

}  // namespace narrow::kernels
