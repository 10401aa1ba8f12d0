// From a case that fails to a small one that still does.
#pragma once

#include <functional>

#include "kernel_cases/case.h"

namespace narrow::kernel_cases {

/// Tries, again and again until nothing helps: the family's own steps, each number at its lowest or default,
/// halfway there and one less, flags off, words at their first. A step stays when the case is valid and
/// `fails`. Returns the last that failed; at most `tries` calls of `fails`.
Case shrink(Case failing, const std::function<bool(const Case&)>& fails, int tries = 2000);

}  // namespace narrow::kernel_cases
