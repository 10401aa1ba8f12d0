#include "verify/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace narrow::verify {

Result<double> parse_tolerance(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string unit(end, text.data() + text.size());
  if (error != std::errc() || unit != "pp" || !(value > 0) || !(value < 100))
    return Error{.code = Code::usage,
                 .subject = "--tolerance",
                 .expected = "a drop in percentage points, above 0 and below 100, as 0.5pp",
                 .got = "'" + text + "'"};
  return value;
}

SamplePlan plan_samples(const Figures& figures, double tolerance_pp) {
  SamplePlan plan{.tolerance_pp = tolerance_pp, .by = {}, .there = figures.samples, .to_detect = {}};
  const auto top1 = figures.by_name.find("top1"), agreement = figures.by_name.find("agreement");
  if (top1 != figures.by_name.end() && top1->second.paired) {
    const PairedCounts& counts = *top1->second.paired;
    plan.by = "top1";
    plan.discordance = static_cast<double>(counts.lost + counts.gained) / static_cast<double>(counts.samples);
  } else if (agreement != figures.by_name.end()) {
    plan.by = "agreement";
    plan.discordance = 1 - agreement->second.value / 100;
  }
  if (!plan.by.empty()) plan.needed = samples_to_show(tolerance_pp / 100, plan.discordance);
  for (const char* name : {"top1", "perplexity", "mae", "agreement", "kld", "margin"})
    if (const auto found = figures.by_name.find(name); found != figures.by_name.end())
      if (const int64_t n = samples_to_detect(found->second); n > 0) plan.to_detect.emplace_back(name, n);
  std::stable_sort(plan.to_detect.begin(), plan.to_detect.end(),
                   [](const auto& a, const auto& b) { return a.second < b.second; });
  return plan;
}

std::string text_of(const SamplePlan& plan) {
  std::string text;
  if (plan.needed > 0)
    text = fmt::format(
        "{} samples show a drop below {:g} pp with 80% power when there is none ({} differs on {:.2f}% of "
        "the "
        "{} samples here)\n",
        plan.needed, plan.tolerance_pp, plan.by, 100 * plan.discordance, plan.there);
  std::string figures;
  for (const auto& [name, n] : plan.to_detect)
    figures += fmt::format("{}{} {}", figures.empty() ? "" : ", ", name, n);
  if (!figures.empty())
    text += fmt::format("samples at which a difference from fp32 as large as here shows: {}\n", figures);
  return text;
}

Json to_json(const SamplePlan& plan) {
  Json detect = Json::object();
  for (const auto& [name, n] : plan.to_detect) detect[name] = n;
  return {{"tolerance_pp", plan.tolerance_pp},     {"by", plan.by},         {"discordance", plan.discordance},
          {"samples_needed", plan.needed},         {"samples", plan.there}, {"power", 0.8},
          {"samples_to_detect", std::move(detect)}};
}

}  // namespace narrow::verify
