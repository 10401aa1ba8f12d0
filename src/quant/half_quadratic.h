// Half-quadratic quantization (HQQ): scales and zero points of groups from the weights alone, by an lp norm
// of their error that minds a few large errors less than squares do.
//
// Source: Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", Mobius Labs 2023,
// https://mobiusml.github.io/hqq_blog/. docs/methods/hqq.md.
#pragma once

#include <cstdint>
#include <span>

#include "calib/profile.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "quant/groups.h"
#include "quant/recipe.h"

namespace narrow::quant {

struct HalfQuadraticOptions {
  double norm = 0.7;  // p: of |w - w'|^p
  int iterations = 20;
};

/// sum |w - w'|^p over a group, w' the numbers that the nearest codes stand for.
double norm_error(std::span<const float> group, const GroupOptions& options, const ScaleFit& fit,
                  double norm);

/// Of the fits below the one with the least sum |w - w'|^p: fit_group()'s; those that the iteration goes
/// through from there and from the range of the weights. With e what errors are allowed to be (in steps of
/// the scale), codes q and zero point z, each round does
///   e = sign(d) max(0, |d| - |d|^(p-1) / beta),          d = (w - w') / scale, beta = 10, 10.5, 11.0, ...
///   scale = sum (w - scale e)(q - z) / sum (q - z)^2,    z = round(mean(q - (w - scale e) / scale)).
/// Zero points are codes here, real numbers in the source; scales stay there. Not empty.
ScaleFit fit_half_quadratic(std::span<const float> group, const GroupOptions& options, bool half_scales,
                            const HalfQuadraticOptions& half_quadratic = {});

/// What came of it: sums of |w - w'|^p over all groups.
struct HalfQuadraticReport {
  int64_t layers = 0;
  double nearest = 0, chosen = 0;
};

/// Scales, zero points and codes of everything `recipe` stores in groups, from the weights of `graph`, for
/// which it was made. Layers in int8 stay. `profile` (for the bias corrections of these weights) may be null.
/// Deterministic for any number of threads.
HalfQuadraticReport half_quadratic(const ir::Graph& graph, const calib::Profile* profile, Recipe& recipe,
                                   ThreadPool& pool, const HalfQuadraticOptions& options = {});

}  // namespace narrow::quant
