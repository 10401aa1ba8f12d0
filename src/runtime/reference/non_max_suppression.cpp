// Greedy suppression per batch and class: by falling score, a box is kept when it overlaps no kept one by
// more than iou_threshold.
#include <algorithm>
#include <array>

#include "runtime/reference/functions.h"

namespace narrow::runtime::reference {
namespace {

struct Box {
  float y1, x1, y2, x2;
  float area() const { return (y2 - y1) * (x2 - x1); }
};

/// From two opposite corners [y1, x1, y2, x2], or from [x_center, y_center, width, height].
Box box_of(const float* b, bool centre) {
  if (centre) return {b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
  return {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
}

float overlap(const Box& a, const Box& b) {
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1),
              width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (!(height > 0) || !(width > 0)) return 0;
  const float common = height * width, both = a.area() + b.area() - common;
  return both > 0 ? common / both : 0;
}

Result<float> threshold(const ir::Node& node, const Tensor* tensor, float otherwise) {
  if (tensor == nullptr) return otherwise;
  NARROW_TRY(const double value, real_scalar(node, *tensor));
  return static_cast<float>(value);
}

}  // namespace

Outputs eval_non_max_suppression(const ir::Node& node, Inputs inputs) {
  const Tensor &boxes = *inputs[0], &scores = *inputs[1];
  if (boxes.dtype() != DType::f32 || scores.dtype() != DType::f32) return wrong_type(node, scores.dtype());
  if (boxes.rank() != 3 || scores.rank() != 3 || boxes.dim(2) != 4 || boxes.dim(0) != scores.dim(0) ||
      boxes.dim(1) != scores.dim(2))
    return invalid(node, "boxes [batch,n,4], scores [batch,classes,n]",
                   to_string(boxes.shape()) + " and " + to_string(scores.shape()));
  int64_t most = 0;
  if (const Tensor* given = optional_input(inputs, 2)) {
    NARROW_TRY(most, int_scalar(node, *given));
  }
  NARROW_TRY(const float limit, threshold(node, optional_input(inputs, 3), 0));
  NARROW_TRY(const float least, threshold(node, optional_input(inputs, 4), 0));
  const bool bounded = optional_input(inputs, 4) != nullptr,
             centre = node.int_attr("center_point_box", 0) != 0;
  const int64_t count = boxes.dim(1), classes = scores.dim(1);
  std::vector<int64_t> selected;
  for (int64_t line = 0; line < scores.dim(0) * classes; ++line) {
    const float* score = scores.data<float>().data() + line * count;
    const float* box = boxes.data<float>().data() + line / classes * count * 4;
    std::vector<int64_t> order;
    for (int64_t i = 0; i < count; ++i)
      if (score[i] == score[i] && (!bounded || score[i] > least)) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return score[i] > score[j]; });
    std::vector<Box> kept;
    for (const int64_t i : order) {
      if (std::ssize(kept) >= most) break;
      const Box candidate = box_of(box + i * 4, centre);
      if (std::any_of(kept.begin(), kept.end(), [&](const Box& k) { return overlap(candidate, k) > limit; }))
        continue;
      kept.push_back(candidate);
      selected.insert(selected.end(), {line / classes, line % classes, i});
    }
  }
  const int64_t rows = std::ssize(selected) / 3;
  return one(Tensor::of({rows, 3}, selected));
}

}  // namespace narrow::runtime::reference
