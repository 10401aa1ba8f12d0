#include "pipeline/remedy.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace narrow::pipeline {
namespace {

using quant::Precision;

/// An option and its values, in the order of `narrow build`.
struct Line {
  std::string name;
  std::vector<std::string> values;
  bool list = false;  // repeatable: an array in TOML
};

std::vector<Line> lines_of(const BuildRequest& r) {
  std::vector<Line> lines = {{"model", {r.model}},
                             {"calib", {r.calib}},
                             {"eval", {r.eval}},
                             {"precisions", {fmt::format("fp32,{}", to_string(r.precision))}},
                             {"gate", r.gates, true}};
  const auto add = [&](const std::string& name, const std::string& value) {
    lines.push_back({name, {value}});
  };
  if (!r.metric_command.empty()) add("metric-cmd", r.metric_command);
  if (r.confident) add("proof", "ci");
  const calib::RangeOptions standard;
  if (r.setting.ranges.method != standard.method) add("calib-method", to_string(r.setting.ranges.method));
  if (r.setting.ranges.method == calib::Method::percentile &&
      r.setting.ranges.percentile != standard.percentile)
    add("percentile", fmt::format("{}", r.setting.ranges.percentile));
  if (quant::to_string(r.setting.methods) != quant::to_string(quant::standard_methods()))
    lines.push_back({"recipe", {quant::to_string(r.setting.methods)}, true});
  if (r.group_size) add("group-size", fmt::format("{}", *r.group_size));
  if (!r.wide.empty()) lines.push_back({"wide", r.wide, true});
  return lines;
}

/// For a POSIX shell: single quotes where a character could mean something.
std::string shell_quoted(const std::string& text) {
  const std::string plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./=,:+@%";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

/// A basic string of TOML.
std::string toml_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      quoted += std::string("\\") + c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

std::string to_string(const calib::RangeOptions& ranges) {
  std::string name = calib::to_string(ranges.method);
  if (ranges.method == calib::Method::percentile) name += fmt::format(" {}", ranges.percentile);
  return name;
}

std::string to_string(const Setting& setting) {
  return to_string(setting.ranges) + ", " + quant::to_string(setting.methods);
}

bool is_quick(const Setting& setting) {
  return setting.ranges.method != calib::Method::automatic &&
         std::none_of(setting.methods.begin(), setting.methods.end(),
                      [](const quant::MethodUse& use) { return use.method == quant::Method::gptq; });
}

std::vector<const char*> recipes_of(Precision precision) {
  switch (precision) {
    case Precision::int8:
    case Precision::w4a8:
      return {"equalize, gptq",  "gptq",         "equalize, nearest",          "nearest", "smooth, gptq",
              "smooth, nearest", "rotate, gptq", "equalize, absorb-bias, gptq"};
    case Precision::int8_dynamic:
      return {"gptq", "nearest", "smooth, gptq", "smooth, nearest", "rotate, gptq"};
    case Precision::int8_weights:
    case Precision::int4:
    case Precision::int3:
    case Precision::int2:
    case Precision::ternary:
    case Precision::binary:
      return {"gptq", "nearest", "hqq", "awq, gptq", "awq, nearest"};
    default:
      return {};
  }
}

std::vector<Setting> other_settings(Precision precision, const Setting& first) {
  std::vector<calib::RangeOptions> ranges = {first.ranges};
  if (precision == Precision::int8 || precision == Precision::w4a8)
    for (const calib::Method method :
         {calib::Method::mse, calib::Method::percentile, calib::Method::minmax, calib::Method::entropy,
          calib::Method::moving_average, calib::Method::automatic}) {
      calib::RangeOptions other;
      other.method = method;
      if (method != first.ranges.method) ranges.push_back(other);
    }
  std::vector<std::vector<quant::MethodUse>> methods = {first.methods};
  for (const char* list : recipes_of(precision)) {
    const auto use = quant::parse_methods(list);
    if (use.ok() && quant::to_string(*use) != quant::to_string(first.methods)) methods.push_back(*use);
  }
  std::vector<Setting> settings;
  for (const auto& use : methods)
    for (const calib::RangeOptions& range : ranges) settings.push_back({range, use});
  settings.erase(settings.begin());  // `first` itself
  std::stable_partition(settings.begin(), settings.end(), is_quick);
  return settings;
}

std::string command_of(const BuildRequest& request) {
  std::string command = "narrow build";
  for (const Line& line : lines_of(request))
    for (const std::string& value : line.values)
      command += (line.name == "model" ? " " : " --" + line.name + " ") + shell_quoted(value);
  return command + " --out out";
}

std::string toml_of(const BuildRequest& request) {
  std::string text;
  for (const Line& line : lines_of(request)) {
    if (line.list && line.values.empty()) continue;
    std::string values;
    for (const std::string& value : line.values) values += (values.empty() ? "" : ", ") + toml_quoted(value);
    text += line.name + " = " + (line.list ? "[" + values + "]" : values) + "\n";
  }
  return text;
}

}  // namespace narrow::pipeline
