#include "quant/digest.h"

#include <span>

#include "base/hash.h"

namespace narrow::quant {
namespace {

template <class T>
void add_list(Hasher& hasher, const std::vector<T>& list) {
  hasher.add(std::to_string(list.size()) + ";").add(std::as_bytes(std::span(list)));
}

void add_text(Hasher& hasher, const std::string& text) {
  hasher.add(std::to_string(text.size()) + ":").add(text);
}

void add_tensor(Hasher& hasher, const Tensor& tensor) {
  hasher.add(to_string(tensor.dtype()));
  add_list(hasher, tensor.shape());
  hasher.add(std::span(static_cast<const std::byte*>(tensor.raw()), static_cast<size_t>(tensor.bytes())));
}

void add_scales(Hasher& hasher, const std::map<std::string, Quantization>& scales) {
  hasher.add(std::to_string(scales.size()) + " scales;");
  for (const auto& [name, quant] : scales) {
    add_text(hasher, name);
    add_list(hasher, quant.scale);
    add_list(hasher, quant.zero_point);
    hasher.add(std::to_string(quant.axis) + ";");
  }
}

}  // namespace

std::string digest(const Recipe& recipe) {
  Hasher hasher;
  hasher.add(recipe.target == Target::tensorrt ? "tensorrt;" : "portable;");
  for (const auto& [name, choice] : recipe.nodes) {
    if (choice.format == NodeFormat::fp32) continue;  // as one that is not listed
    add_text(hasher, name);
    add_text(hasher, to_string(choice.format));
  }
  for (const auto* scales : {&recipe.activations, &recipe.weights, &recipe.tables})
    add_scales(hasher, *scales);
  hasher.add(std::to_string(recipe.codes.size()) + " codes;");
  for (const auto& [name, codes] : recipe.codes) {
    add_text(hasher, name);
    add_tensor(hasher, codes);
  }
  for (const auto& [name, steps] : recipe.four_bit) {
    add_text(hasher, name);
    hasher.add(std::to_string(steps.axis) + ";" + std::to_string(steps.group_size) + " steps;");
    if (!steps.has_groups()) continue;
    add_tensor(hasher, steps.step);
    add_tensor(hasher, steps.zero_point);
  }
  hasher.add(std::to_string(recipe.groups.size()) + " groups;");
  for (const auto& [name, groups] : recipe.groups) {
    add_text(hasher, name);
    hasher.add(std::to_string(groups.axis) + ";" + std::to_string(groups.group_size) + ";" +
               std::to_string(groups.bits) + ";" + std::to_string(static_cast<int>(groups.set)) + ";");
    for (const Tensor* tensor : {&groups.codes, &groups.scale, &groups.zero_point})
      if (tensor->elements() > 0 && tensor->raw() != nullptr) add_tensor(hasher, *tensor);
    if (groups.apart.count() == 0) continue;
    add_tensor(hasher, groups.apart.gaps);
    add_tensor(hasher, groups.apart.values);
  }
  hasher.add(std::to_string(recipe.bias_corrections.size()) + " biases;");
  for (const auto& [name, bias] : recipe.bias_corrections) {
    add_text(hasher, name);
    add_list(hasher, bias);
  }
  return hasher.hex();
}

}  // namespace narrow::quant
