// Fields that families share: formats, activations, values and their seed.
#pragma once

#include <string>
#include <vector>

#include "kernel_cases/case.h"
#include "kernel_cases/data.h"
#include "kernel_cases/dice.h"
#include "kernels/activation.h"

namespace narrow::kernel_cases {

using Fields = std::vector<Field>;

/// NAME, a type of `types` (the first is the default), NAME_scale and NAME_zero, which mean something when it
/// is u8 or s8. Scale 0: derived from the seed.
void add_format(Fields& fields, const std::string& name, const std::vector<std::string>& types);
/// `derived` is the scale when the case leaves it to be derived; it is varied by the seed.
kernels::Format format_of(const Case& c, const std::string& name, float derived);
/// Empty, or what is wrong: a negative scale, a zero point outside the type.
std::string invalid_format(const Case& c, const std::string& name);
/// One of `types`, a zero point often at an end of its range.
void draw_format(Case& c, const std::string& name, const std::vector<std::string>& types, Dice& dice);

/// act, act_alpha, act_beta.
void add_activation(Fields& fields);
kernels::Activation activation_of(const Case& c);
std::string invalid_activation(const Case& c);
void draw_activation(Case& c, Dice& dice);

/// values, seed: the last of every family.
void add_data(Fields& fields);
Values values_of(const Case& c);
Random random_of(const Case& c);
void draw_data(Case& c, Dice& dice);

/// The largest of the products of extents, saturating at 2^62; for bounds on memory.
int64_t product(std::initializer_list<int64_t> factors);
/// "src has 2^40 elements: at most 2^31", empty when it fits.
std::string too_large(const std::string& name, std::initializer_list<int64_t> extents);

extern const std::vector<std::string> kAllTypes, kFloatTypes;

}  // namespace narrow::kernel_cases
