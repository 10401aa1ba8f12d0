#include "kernel_cases/common_fields.h"

#include <fmt/format.h>

namespace narrow::kernel_cases {

const std::vector<std::string> kAllTypes = {"f32", "bf16", "f16", "u8", "s8"};
const std::vector<std::string> kFloatTypes = {"f32", "bf16", "f16"};

void add_format(Fields& fields, const std::string& name, const std::vector<std::string>& types) {
  fields.push_back(choice_field(name, types));
  fields.push_back(real_field(name + "_scale", 0));
  fields.push_back(size_field(name + "_zero", 0, -128, 255));
}

kernels::Format format_of(const Case& c, const std::string& name, float derived) {
  const DType type = c.type(name);
  if (!is_int8(type)) return {type, {}};
  const float given = c.real(name + "_scale");
  // Another factor for every name: scales that are equal would hide which of two a kernel takes.
  Random random(static_cast<uint64_t>(c.size("seed")) * 31 + name.size() * 7 + static_cast<uint8_t>(name[0]));
  const auto factor = static_cast<float>(random.uniform(0.6, 1.6));
  return {type, {given != 0 ? given : derived * factor, static_cast<int32_t>(c.size(name + "_zero"))}};
}

std::string invalid_format(const Case& c, const std::string& name) {
  const DType type = c.type(name);
  const int64_t zero = c.size(name + "_zero");
  if (c.real(name + "_scale") < 0)
    return fmt::format("{}_scale = {}: wants more than 0", name, c.real(name + "_scale"));
  if (is_int8(type) && (zero < lowest(type) || zero > highest(type)))
    return fmt::format("{}_zero = {}: wants a value of {}", name, zero, to_string(type));
  return {};
}

void draw_format(Case& c, const std::string& name, const std::vector<std::string>& types, Dice& dice) {
  c.set_choice(name, types[static_cast<size_t>(dice.below(static_cast<int64_t>(types.size())))]);
  const DType type = c.type(name);
  if (!is_int8(type)) return;
  const int64_t low = lowest(type), high = highest(type);
  c.set(name + "_zero", dice.one_of({low, high, low + 128, dice.between(low, high)}));
}

void add_activation(Fields& fields) {
  std::vector<std::string> names;
  for (int act = 0; act <= static_cast<int>(kernels::Act::mish); ++act)
    names.emplace_back(to_string(static_cast<kernels::Act>(act)));
  fields.push_back(choice_field("act", names));
  fields.push_back(real_field("act_alpha", 0.2F));
  fields.push_back(real_field("act_beta", 0.5F));
}

kernels::Activation activation_of(const Case& c) {
  return {static_cast<kernels::Act>(c.choice("act")), c.real("act_alpha"), c.real("act_beta")};
}

std::string invalid_activation(const Case& c) {
  const kernels::Activation a = activation_of(c);
  if (a.kind == kernels::Act::clip && a.alpha > a.beta)
    return fmt::format("act=clip from {} to {}: wants act_alpha <= act_beta", a.alpha, a.beta);
  if (std::abs(a.alpha) > 1e6F || std::abs(a.beta) > 1e6F) return "act_alpha, act_beta: want at most 1e6";
  return {};
}

void draw_activation(Case& c, Dice& dice) {
  constexpr auto kCount = static_cast<int64_t>(kernels::Act::mish) + 1;
  const int64_t act =
      dice.once_in(2) ? dice.below(3) : dice.below(kCount);  // none, relu, clip are most layers
  c.set("act", act);
  if (static_cast<kernels::Act>(act) != kernels::Act::clip) return;
  c.set_real("act_alpha", dice.one_of({0.0F, -0.7F, -1e5F, 0.25F}));
  c.set_real("act_beta", dice.one_of({6.0F, 1.1F, 1e5F, 0.25F}));
}

void add_data(Fields& fields) {
  fields.push_back(choice_field("values", {"uniform", "extreme", "saturating", "relu"}));
  fields.push_back(size_field("seed", 1, 0, INT64_MAX));
}

Values values_of(const Case& c) { return static_cast<Values>(c.choice("values")); }
Random random_of(const Case& c) { return Random(static_cast<uint64_t>(c.size("seed"))); }

void draw_data(Case& c, Dice& dice) {
  c.set("values", dice.one_of({0, 0, 1, 2, 3}));
  c.set("seed", dice.below(10000));
}

int64_t product(std::initializer_list<int64_t> factors) {
  __extension__ using Wide = __int128;
  constexpr int64_t kMost = int64_t{1} << 62;
  Wide p = 1;
  for (const int64_t f : factors)
    if ((p *= f) > kMost) p = kMost;
  for (const int64_t f : factors)
    if (f == 0) return 0;
  return static_cast<int64_t>(p);
}

std::string too_large(const std::string& name, std::initializer_list<int64_t> extents) {
  constexpr int64_t kMost = int64_t{1} << 31;
  const int64_t count = product(extents);
  return count > kMost ? fmt::format("{} has {} elements: wants at most {}", name, count, kMost) : "";
}

}  // namespace narrow::kernel_cases
