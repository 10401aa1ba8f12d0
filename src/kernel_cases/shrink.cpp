#include "kernel_cases/shrink.h"

#include <algorithm>

#include "kernel_cases/family.h"

namespace narrow::kernel_cases {
namespace {

/// From the boldest step to the smallest, towards `target`.
std::vector<int64_t> steps(int64_t value, int64_t target) {
  std::vector<int64_t> list;
  if (value == target) return list;
  for (const int64_t next : {target, target + (value - target) / 2, value + (target > value ? 1 : -1)})
    if (next != value && std::find(list.begin(), list.end(), next) == list.end()) list.push_back(next);
  return list;
}

void vary_field(const Case& c, size_t at, std::vector<Case>& list) {
  const Field& field = c.family->fields[at];
  const Value& value = c.values[at];
  const auto add = [&](const Value& changed) {
    list.push_back(c);
    list.back().values[at] = changed;
  };
  switch (field.kind) {
    case Kind::size:
    case Kind::pair:
      for (const int64_t a : steps(value.a, field.standard.a)) add({a, value.b, 0});
      if (field.kind == Kind::pair)
        for (const int64_t b : steps(value.b, field.standard.b)) add({value.a, b, 0});
      break;
    case Kind::real:
    case Kind::choice:
    case Kind::flag:
      if (value != field.standard) add(field.standard);
  }
}

std::vector<Case> variants(const Case& c) {
  std::vector<Case> list;
  if (c.family->smaller != nullptr) list = c.family->smaller(c);
  for (size_t at = 0; at < c.values.size(); ++at) vary_field(c, at, list);
  return list;
}

}  // namespace

Case shrink(Case failing, const std::function<bool(const Case&)>& fails, int tries) {
  bool smaller = true;
  while (smaller) {
    smaller = false;
    for (Case& variant : variants(failing)) {
      if (variant == failing || !variant.family->invalid(variant).empty()) continue;
      if (--tries < 0) return failing;
      if (!fails(variant)) continue;
      failing = std::move(variant);
      smaller = true;
      break;
    }
  }
  return failing;
}

}  // namespace narrow::kernel_cases
