// What makes a build hold its gates, and how a person writes it down.
#pragma once

#include <string>
#include <vector>

#include "calib/range.h"
#include "quant/methods.h"
#include "quant/recipe.h"

namespace narrow::pipeline {

/// How ranges are found and weights rounded: the settings a remedy may change without widening a layer.
struct Setting {
  calib::RangeOptions ranges;
  std::vector<quant::MethodUse> methods;
};
/// "mse, gptq".
std::string to_string(const Setting& setting);
/// "percentile 99.99".
std::string to_string(const calib::RangeOptions& ranges);
/// Neither ranges nor weights are chosen by running the model: quick, and a screen of the ranges.
bool is_quick(const Setting& setting);

/// Recipes worth trying in a precision, the likeliest first; none where weights are not rounded to integers.
std::vector<const char*> recipes_of(quant::Precision precision);

/// The settings to try after `first`: for int8 every calibration method, for every integer precision every
/// method of the recipe; the quick ones first. Those that change nothing for `precision` are not among them.
std::vector<Setting> other_settings(quant::Precision precision, const Setting& first);

/// One build as `narrow build` is told of it.
struct BuildRequest {
  std::string model, calib, eval, metric_command;
  std::vector<std::string> gates;
  quant::Precision precision = quant::Precision::int8;
  Setting setting;
  std::optional<int64_t> group_size = {};
  bool confident = false;         // --proof ci
  std::vector<std::string> wide;  // "conv_1=bf16"
};

/// narrow build ... --out out, quoted for a shell; settings that are standard are left out.
std::string command_of(const BuildRequest& request);
/// The same as narrow.toml, for --config.
std::string toml_of(const BuildRequest& request);

}  // namespace narrow::pipeline
