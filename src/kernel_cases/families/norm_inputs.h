// Inputs of the normalisations' families: a source, then scale and shift where a case has them.
#pragma once

#include <cstring>
#include <vector>

#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

inline std::vector<const void*> pointers(const Problem& p) {
  std::vector<const void*> list;
  for (const Bytes& input : p.inputs) list.push_back(input.data());
  return list;
}

/// Number i of an f32 input; `otherwise` where `input` is 0, the source's place: the case has none.
inline float parameter(const Problem& p, size_t input, int64_t i, float otherwise) {
  if (input == 0) return otherwise;
  float x = 0;
  std::memcpy(&x, p.inputs[input].data() + i * 4, 4);
  return x;
}

}  // namespace narrow::kernel_cases
