// Values as they lie in the engine's memory <-> FP32 in the axes of the ONNX model.
#include <numeric>

#include "runtime/session.h"

namespace narrow::runtime {
namespace {

/// For every element of the origin's layout, in order, calls f(index in origin order, index here).
/// pitch: elements from one row of the last axis to the next, 0 when they touch.
template <class F>
void for_each_pair(const Shape& here, std::vector<int64_t> perm, int64_t pitch, F&& f) {
  const int64_t n = elements_of(here);
  if (perm.empty() && pitch == 0) {
    for (int64_t i = 0; i < n; ++i) f(i, i);
    return;
  }
  const size_t rank = here.size();
  if (perm.empty())
    for (size_t i = 0; i < rank; ++i) perm.push_back(static_cast<int64_t>(i));
  // Axis i here is axis perm[i] there.
  Shape there(rank);
  std::vector<int64_t> strides_here = row_major_strides(here), stride_of_there(rank);
  if (pitch > 0)
    for (size_t i = 0; i + 1 < rank; ++i) strides_here[i] = strides_here[i] / here.back() * pitch;
  for (size_t i = 0; i < rank; ++i) {
    there[static_cast<size_t>(perm[i])] = here[i];
    stride_of_there[static_cast<size_t>(perm[i])] = strides_here[i];
  }
  std::vector<int64_t> at(rank, 0);
  int64_t source = 0;
  for (int64_t i = 0; i < n; ++i) {
    f(i, source);
    for (size_t axis = rank; axis-- > 0;) {
      source += stride_of_there[axis];
      if (++at[axis] < there[axis]) break;
      source -= stride_of_there[axis] * there[axis];
      at[axis] = 0;
    }
  }
}

Shape origin_shape(const Shape& here, const std::vector<int64_t>& perm) {
  if (perm.empty()) return here;
  Shape there(here.size());
  for (size_t i = 0; i < here.size(); ++i) there[static_cast<size_t>(perm[i])] = here[i];
  return there;
}

/// Scale and zero point of an element along a per-channel axis; per tensor when axis < 0.
struct ElementQuant {
  const Quantization* quant;
  int64_t stride = 1, extent = 1;
  ElementQuant(const Quantization* q, const Shape& shape) : quant(q) {
    if (quant == nullptr || quant->per_tensor()) return;
    stride = row_major_strides(shape)[static_cast<size_t>(quant->axis)];
    extent = shape[static_cast<size_t>(quant->axis)];
  }
  size_t channel(int64_t i) const {
    return quant->per_tensor() ? 0 : static_cast<size_t>(i / stride % extent);
  }
};

}  // namespace

std::span<const float> ValueView::floats(std::vector<float>& room) const {
  NARROW_CHECK(value->type.dtype == DType::f32);
  if (pitch == 0) return {static_cast<const float*>(data), static_cast<size_t>(elements_of(shape))};
  room.clear();
  for_each_run([&](const float* first, int64_t count) { room.insert(room.end(), first, first + count); });
  return room;
}

Tensor ValueView::to_reference() const {
  Tensor out = Tensor::allocate(DType::f32, origin_shape(shape, value->origin_perm));
  auto dst = out.mutable_data<float>();
  const ElementQuant quant(value->type.quant.get(), shape);
  dispatch(value->type.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto* src = static_cast<const T*>(data);
    for_each_pair(shape, value->origin_perm, pitch, [&](int64_t there, int64_t here) {
      if constexpr (sizeof(T) == 1) {
        if (quant.quant != nullptr) {
          const size_t c = quant.channel(here);
          dst[static_cast<size_t>(there)] =
              dequantize(static_cast<int32_t>(src[here]), quant.quant->scale[c], quant.quant->zero_point[c]);
          return;
        }
      }
      dst[static_cast<size_t>(there)] = static_cast<float>(src[here]);
    });
  });
  return out;
}

void ValueView::set_from_reference(const Tensor& reference) const {
  NARROW_CHECK(reference.elements() == elements_of(shape));
  const auto src = reference.data<float>();
  const ElementQuant quant(value->type.quant.get(), shape);
  const IntegerRange range = value->type.dtype == DType::u8 ? kRangeU8 : kRangeS8;
  dispatch(value->type.dtype, [&](auto tag) {
    using T = decltype(tag);
    auto* dst = static_cast<T*>(data);
    for_each_pair(shape, value->origin_perm, pitch, [&](int64_t there, int64_t here) {
      const float x = src[static_cast<size_t>(there)];
      if constexpr (sizeof(T) == 1) {
        if (quant.quant != nullptr) {
          const size_t c = quant.channel(here);
          dst[here] = static_cast<T>(quantize(x, quant.quant->scale[c], quant.quant->zero_point[c], range));
          return;
        }
      }
      dst[here] = static_cast<T>(x);
    });
  });
}

}  // namespace narrow::runtime
