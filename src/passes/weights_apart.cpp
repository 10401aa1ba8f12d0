#include "passes/weights_apart.h"

#include <algorithm>

namespace narrow::passes {
namespace {

Node* cast_of_constant(const Value* value, DType from) {
  Node* cast = value == nullptr ? nullptr : producer_of(value, Op::Cast);
  return cast != nullptr && cast->input(0)->is_constant() && cast->input(0)->type.dtype == from ? cast
                                                                                                : nullptr;
}

}  // namespace

std::optional<WeightsApart> weights_apart(const Value* whole) {
  Node* last = whole == nullptr ? nullptr : producer_of(whole, Op::Reshape);
  if (last == nullptr || last->input(1) == nullptr || !last->input(1)->is_constant()) return {};
  Node* add = producer_of(last->input(0), Op::ScatterElements);
  if (add == nullptr || add->int_attr("axis", 0) != 0 || add->string_attr("reduction", "none") != "add")
    return {};
  Node *flat = producer_of(add->input(0), Op::Reshape), *places = producer_of(add->input(1), Op::CumSum);
  Node* values = cast_of_constant(add->input(2), DType::f16);
  if (flat == nullptr || places == nullptr || values == nullptr) return {};
  Node* gaps = cast_of_constant(places->input(0), DType::u8);
  if (gaps == nullptr || !flat->input(1)->is_constant() || !places->input(1)->is_constant()) return {};
  return WeightsApart{flat, gaps, places, values, add, last};
}

bool widens_gaps(const Node* cast) {
  if (cast->op() != Op::Cast || cast->input(0) == nullptr || cast->input(0)->type.dtype != DType::u8)
    return false;
  const auto& uses = cast->output()->uses();
  return !uses.empty() && std::all_of(uses.begin(), uses.end(), [](const ir::Use& use) {
    return use.index == 0 && use.node->op() == Op::CumSum;
  });
}

}  // namespace narrow::passes
