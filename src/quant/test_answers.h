// For tests: what a small graph answers by the reference, and what int8 makes of it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "calib/calibrate.h"
#include "data/test_samples.h"
#include "numerics/distortion.h"
#include "quant/apply.h"
#include "quant/plan_formats.h"
#include "runtime/reference/reference.h"

namespace narrow::quant {

inline calib::Profile profile_of(const ir::Graph& graph, const TensorMap& inputs) {
  auto profile = calib::calibrate(graph, "m", data::Samples(inputs), std::make_shared<ThreadPool>(2),
                                  {.samples = 0, .batch = 1});
  EXPECT_TRUE(profile.ok()) << (profile.ok() ? "" : profile.error().message());
  return std::move(profile).value();
}

inline std::vector<float> answers(const ir::Graph& graph, const TensorMap& inputs) {
  const auto outputs = runtime::reference::run(graph, inputs);
  EXPECT_TRUE(outputs.ok()) << (outputs.ok() ? "" : outputs.error().message());
  return outputs.ok() ? to_floats(outputs->begin()->second) : std::vector<float>();
}

inline double sqnr(const std::vector<float>& wanted, const std::vector<float>& got) {
  Distortion d;
  d.add(wanted, got);
  return d.sqnr_db();
}

inline double int8_sqnr(const ir::Graph& graph, const TensorMap& calibration, const TensorMap& inputs,
                        const std::vector<float>& wanted) {
  const auto recipe = plan_int8(graph, profile_of(graph, calibration), {});
  EXPECT_TRUE(recipe.ok());
  const auto narrow = apply(graph, *recipe);
  EXPECT_TRUE(narrow.ok());
  return sqnr(wanted, answers(*narrow, inputs));
}

}  // namespace narrow::quant
