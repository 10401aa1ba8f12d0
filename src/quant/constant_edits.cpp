#include "quant/constant_edits.h"

#include "base/check.h"

namespace narrow::quant {
namespace {

/// Repeats the numbers of an axis of one to `extent`; a scalar becomes a vector.
Tensor widened(const Tensor& tensor, int64_t axis, int64_t extent) {
  Shape shape = tensor.shape();
  if (shape.empty()) shape.push_back(1);
  const auto a = static_cast<size_t>(axis);
  NARROW_CHECK(a < shape.size());
  if (shape[a] == extent) return tensor.reshaped(shape).clone();
  NARROW_CHECK(shape[a] == 1);
  shape[a] = extent;
  Tensor wide = Tensor::allocate(DType::f32, shape);
  int64_t inner = 1;
  for (size_t i = a + 1; i < shape.size(); ++i) inner *= shape[i];
  const auto from = tensor.data<float>();
  const auto to = wide.mutable_data<float>();
  for (int64_t i = 0; i < wide.elements(); ++i)
    to[static_cast<size_t>(i)] = from[static_cast<size_t>(i / (inner * extent) * inner + i % inner)];
  return wide;
}

}  // namespace

ConstantEdits::Edit& ConstantEdits::edit_of(ir::Node* node, int input) {
  const auto [it, fresh] = index_.try_emplace({node, input}, edits_.size());
  if (fresh) {
    places_.push_back({node, input});
    edits_.emplace_back();
  }
  return edits_[it->second];
}

void ConstantEdits::add(ir::Node* node, int input, const std::string& key,
                        std::function<Tensor(const Tensor&)> edit) {
  Edit& e = edit_of(node, input);
  e.key += key + "; ";
  e.steps.push_back(std::move(edit));
}

void ConstantEdits::apply(ir::Graph& graph) const {
  std::map<std::pair<ir::Value*, std::string>, std::vector<size_t>> alike;
  std::vector<std::pair<ir::Value*, std::string>> order;
  for (size_t i = 0; i < places_.size(); ++i) {
    const std::pair key{places_[i].node->input(places_[i].input), edits_[i].key};
    auto& list = alike[key];
    if (list.empty()) order.push_back(key);
    list.push_back(i);
  }
  std::map<const ir::Value*, Tensor> original;
  for (const auto& [value, key] : order) original.try_emplace(value, value->constant());
  for (const auto& key : order) {
    ir::Value* value = key.first;
    const std::vector<size_t>& uses = alike[key];
    Tensor tensor = original.at(value);
    for (const auto& step : edits_[uses.front()].steps) tensor = step(tensor);
    if (graph.readers(value) == std::ssize(uses)) {
      graph.set_constant(value, std::move(tensor));
      continue;
    }
    ir::Value* own = graph.add_constant(value->name, std::move(tensor));
    for (const size_t i : uses) graph.set_input(places_[i].node, places_[i].input, own);
  }
}

Tensor rotated(const Tensor& tensor, int64_t axis, int64_t extent, const std::vector<int64_t>& starts,
               const Rotation& rotation, const std::vector<double>& scale) {
  Tensor out = widened(tensor, axis, extent);
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < out.rank(); ++i) inner *= out.dim(i);
  const int64_t outer = out.elements() / (inner * extent);
  const auto data = out.mutable_data<float>();
  std::vector<double> x(static_cast<size_t>(extent));
  const auto block = static_cast<size_t>(rotation.size());
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      float* first = data.data() + o * extent * inner + i;
      for (int64_t k = 0; k < extent; ++k) {
        const auto at = static_cast<size_t>(k);
        x[at] = static_cast<double>(first[k * inner]) * (scale.empty() ? 1 : scale[at]);
      }
      for (const int64_t start : starts)
        rotation.apply(std::span(x).subspan(static_cast<size_t>(start), block));
      for (int64_t k = 0; k < extent; ++k) first[k * inner] = static_cast<float>(x[static_cast<size_t>(k)]);
    }
  return out;
}

Tensor shifted(const Tensor& tensor, const std::vector<double>& vector) {
  const int64_t axis = std::max<int64_t>(tensor.rank() - 1, 0), extent = std::ssize(vector);
  Tensor out = widened(tensor, axis, extent);
  const auto data = out.mutable_data<float>();
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<float>(static_cast<double>(data[i]) + vector[i % vector.size()]);
  return out;
}

}  // namespace narrow::quant
