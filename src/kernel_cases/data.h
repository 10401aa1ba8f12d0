// Operands out of a seed, and single elements of any type.
#pragma once

#include <span>
#include <string>

#include "base/random.h"
#include "kernel_cases/problem.h"

namespace narrow::kernel_cases {

/// uniform      integers over their whole range, floats in [-1, 1]
/// extreme      integers mostly at or beside the ends of their range and 0; floats of very unequal size, and
///              zeros
/// saturating   runs of equal values at one end: what overflows first where sums of products do not fit
/// relu         u8 as behind a ReLU: half of them 0, few large; s8 around 0; wider integers and floats as
/// uniform
enum class Values : uint8_t { uniform, extreme, saturating, relu };

/// f32 bf16 f16, integers of at most 32 bits. `range`: floats are scaled by it.
Bytes make_values(Random& random, DType type, int64_t count, Values values, float range = 1);

/// The real numbers that stored elements mean.
std::vector<float> reals(const kernels::Format& format, const void* data, int64_t count);
/// |x|, stored in the same float type.
Bytes absolute(DType type, const Bytes& bytes);

/// Element i as text: "-3", "0.25".
std::string element_text(DType type, const void* data, int64_t i);

/// The lowest and highest value of u8 or s8.
int32_t lowest(DType type);
int32_t highest(DType type);

}  // namespace narrow::kernel_cases
