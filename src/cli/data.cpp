#include <fmt/format.h>

#include <algorithm>

#include "calib/check/data_check.h"
#include "cli/command.h"
#include "cli/table.h"
#include "data/dataset.h"
#include "pipeline/model.h"
#include "verify/evaluate.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model, calibration, evaluation, method = "mse";
  int64_t samples = 4096, layers = 8;
  double percentile = 99.99;
};

std::vector<std::string> row_of(const calib::ValueComparison& v) {
  std::vector<std::string> row = {v.name, v.node, fmt::format("{:.3f} ({:.3f})", v.psi, v.psi_noise),
                                  fmt::format("{:.3f}", v.ks)};
  if (v.categorical) {
    row.insert(row.end(), {"", "", ""});
  } else {
    row.push_back(fmt::format("{:.1f}", 100 * v.coverage));
    row.push_back(fmt::format("{:.3f} ({:.3f})", 100 * v.clipped, 100 * v.clipped_calibration));
    row.push_back(fmt::format("{:.2f} ({:.2f})", v.loss_db, v.loss_noise_db));
  }
  row.emplace_back(to_string(v.verdict));
  return row;
}

/// Inputs, then the values that are worst: the verdict first, then how far beyond chance.
std::string values_text(std::vector<calib::ValueComparison> values, int64_t layers) {
  const auto inputs = std::stable_partition(values.begin(), values.end(),
                                            [](const calib::ValueComparison& v) { return v.is_input; });
  const auto badness = [](const calib::ValueComparison& v) {
    const bool off = v.verdict != calib::ValueVerdict::alike;
    return (off ? 1000 : 0) + std::max(v.psi / calib::kPsiDiffers, v.loss_db / calib::kLossLimitDb);
  };
  std::stable_sort(inputs, values.end(),
                   [&](const auto& a, const auto& b) { return badness(a) > badness(b); });
  const auto shown = std::min(values.size(), static_cast<size_t>(inputs - values.begin() + layers));
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < shown; ++i) rows.push_back(row_of(values[i]));
  return fmt::format(
             "\ninputs, and the worst of {} values (in brackets: what chance gives; clipped: calibration's "
             "own)\n",
             values.size()) +
         table({"value", "node", "PSI", "KS", "covered %", "clipped %", "range loss dB", "verdict"}, rows,
               {false, false, true, true, true, true, true, false});
}

std::string outliers_text(const calib::SetReport& set, const char* which) {
  constexpr size_t kShown = 5;
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, o] : set.outliers) {
    if (rows.size() == kShown) break;
    rows.push_back({name, fmt::format("{:.1f}", o.distance), o.value,
                    fmt::format("{} {:.4g}, the rest {:.4g} +- {:.2g}", o.by_spread ? "spread" : "mean",
                                o.figure, o.median, o.usual)});
  }
  std::string text;
  if (!rows.empty())
    text = fmt::format("\n{} samples far from the rest ({} of {})\n", which, set.outliers.size(),
                       set.looked_at) +
           table({"sample", "distance", "most at", "what shows it"}, rows, {false, true, false, false});
  rows.clear();
  for (const auto& [name, w] : set.wideners) {
    if (rows.size() == kShown) break;
    rows.push_back({name, w.value, fmt::format("{:.0f} % wider than all others make it", 100 * w.share)});
  }
  if (!rows.empty())
    text += fmt::format("\n{} samples that alone stretch a value's extremes ({} of {})\n", which,
                        set.wideners.size(), set.looked_at) +
            table({"sample", "value", ""}, rows, {false, false, false});
  return text;
}

std::string convergence_text(const calib::Convergence& convergence) {
  std::vector<std::vector<std::string>> rows;
  for (const calib::ConvergenceStep& s : convergence.steps)
    rows.push_back({fmt::format("{}", s.samples), fmt::format("{:.1f}", 100 * s.most_values),
                    fmt::format("{:.1f}", 100 * s.widest), s.value});
  if (rows.empty()) return "";
  return "\nranges after some of the calibration samples, against all of them (% of their width)\n" +
         table({"samples", "95% of values", "widest", "at"}, rows, {true, true, true, false});
}

std::string text_of(const calib::DataCheck& check, int64_t layers) {
  std::string text =
      fmt::format("calibration {} samples of {}, evaluation {} of {}\n", check.calibration.looked_at,
                  check.calibration.samples, check.evaluation.looked_at, check.evaluation.samples);
  if (!check.values.empty()) text += values_text(check.values, layers);
  text += outliers_text(check.calibration, "calibration") + outliers_text(check.evaluation, "evaluation") +
          convergence_text(check.convergence) + "\n";
  for (const calib::Finding& finding : check.findings) {
    text += fmt::format("{}: {}\n", finding.fails ? "PROBLEM" : "note", finding.sentence);
    if (!finding.remedy.empty()) text += fmt::format("  {}\n", finding.remedy);
  }
  return text + (check.represents ? "calibration represents evaluation\n"
                                  : "calibration does NOT represent evaluation\n");
}

Result<int> run(const Options& o) {
  NARROW_TRY(const calib::RangeOptions ranges, parse_ranges(o.method, o.percentile));
  NARROW_TRY(const pipeline::Original original, pipeline::load_original(o.model));
  const std::vector<data::InputSpec> inputs = verify::input_specs(ir::interface_of(original.model.graph));
  NARROW_TRY(const auto calibration, data::open_dataset(o.calibration, inputs));
  NARROW_TRY(const auto evaluation, data::open_dataset(o.evaluation, inputs));
  NARROW_TRY(const calib::DataCheck check,
             calib::check_data(original.model.graph, *calibration, *evaluation,
                               std::make_shared<ThreadPool>(o.common.threads),
                               {.ranges = ranges, .samples = o.samples, .seed = o.common.seed},
                               make_progress(o.common)));
  print_text(o.common, text_of(check, o.layers));
  Json json = to_json(check);
  json["model"] = o.model;
  print_json(o.common, json);
  return check.represents ? kDone : kGateFailed;
}

}  // namespace

Command add_data(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* group = root.add_subcommand("data", "questions about data: check");
  group->require_subcommand(1);
  CLI::App* app = group->add_subcommand("check", "does calibration represent what the model will see?");
  app->description(
      "Compares calibration with evaluation data (or production samples) at every input and every value of "
      "the "
      "model,\nsays which samples are far from the rest and how many were enough, and names what is wrong "
      "with "
      "calibration:\nblank, mis-scaled, repeated, of one class, colour channels exchanged. Exit 3 when it "
      "does not "
      "represent evaluation.");
  app->add_option("MODEL", o->model, "FP32 .onnx file")->required();
  app->add_option("--calib", o->calibration, "calibration data")->required();
  app->add_option("--eval", o->evaluation,
                  "evaluation data or production samples, prepared as production does")
      ->required();
  app->add_option("--samples", o->samples,
                  "look at N samples of each set at most, spread evenly (default 4096)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app->add_option("--layers", o->layers, "show the N worst values (default 8); --json has all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  add_ranges(*app, o->method, o->percentile);
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
