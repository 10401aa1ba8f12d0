#include "calib/check/data_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "calib/calibrate.h"

namespace narrow::calib {
namespace {

/// Parts are deciles of calibration; so many samples find them well enough.
constexpr int64_t kPartSamples = 256;

/// What a report shows of inputs does not grow with their number.
std::map<std::string, InputFacts> without_samples(std::map<std::string, InputFacts> inputs) {
  for (auto& [name, facts] : inputs) facts.samples.clear(), facts.contrast.clear();
  return inputs;
}

SetReport report_of(const data::Dataset& dataset, const SetFacts& facts) {
  SetReport report{.path = dataset.info().path,
                   .samples = dataset.size(),
                   .looked_at = facts.selection.size() * facts.selection.unit,
                   .inputs = without_samples(facts.inputs),
                   .blank = {},
                   .duplicates = {},
                   .outliers = {},
                   .wideners = {}};
  // As the data has them, not as they were looked at.
  const auto names_of = [&](std::vector<int64_t> positions) {
    std::sort(positions.begin(), positions.end(), [&](int64_t a, int64_t b) {
      return facts.selection.first_sample(a) < facts.selection.first_sample(b);
    });
    std::vector<std::string> names;
    for (const int64_t at : positions) names.push_back(unit_name(dataset, facts.selection, at));
    return names;
  };
  report.blank = names_of(blank_samples(facts));
  for (const auto& group : duplicates(facts)) report.duplicates.push_back(names_of(group));
  return report;
}

void add_outliers(SetReport& report, const data::Dataset& dataset, const SetSamples& samples) {
  for (const Outlier& outlier : find_outliers(samples))
    report.outliers.push_back({unit_name(dataset, samples.selection, outlier.at), outlier});
  for (const Widener& widener : find_wideners(samples))
    report.wideners.push_back({unit_name(dataset, samples.selection, widener.at), widener});
}

int64_t shared_between(const SetFacts& calibration, const SetFacts& evaluation) {
  const std::set<uint64_t> known(calibration.hashes.begin(), calibration.hashes.end());
  const std::vector<int64_t> blank = blank_samples(evaluation);
  int64_t shared = 0;
  for (size_t at = 0; at < evaluation.hashes.size(); ++at)
    shared += known.contains(evaluation.hashes[at]) &&
                      !std::binary_search(blank.begin(), blank.end(), static_cast<int64_t>(at))
                  ? 1
                  : 0;
  return shared;
}

/// The steps of the check share these.
struct Checker {
  const ir::Graph& graph;
  const data::Dataset &calibration, &evaluation;
  std::shared_ptr<ThreadPool> pool;
  DataCheckOptions options;
  const Progress& progress;
  SetFacts calibration_facts = {}, evaluation_facts = {};

  Result<DataCheck> run();
  Status read(DataCheck& check);
  Status run_model(DataCheck& check);
  Result<std::map<std::string, Counting>> counting() const;
  Status compare_orders(DataCheck& check, const SetSamples& mine, const SetSamples& theirs) const;
};

Status Checker::read(DataCheck& check) {
  NARROW_TRY(calibration_facts,
             read_inputs(calibration, select(calibration, options.samples, options.seed), *pool, progress));
  NARROW_TRY(evaluation_facts,
             read_inputs(evaluation, select(evaluation, options.samples, options.seed), *pool, progress));
  check.calibration = report_of(calibration, calibration_facts);
  check.evaluation = report_of(evaluation, evaluation_facts);
  check.shared_samples = shared_between(calibration_facts, evaluation_facts);
  for (const auto& [name, facts] : calibration_facts.inputs)
    if (const auto other = evaluation_facts.inputs.find(name);
        other != evaluation_facts.inputs.end() && !facts.categorical)
      check.scales[name] = relate_scales(facts, other->second, calibration.info().pixels,
                                         evaluation.info().pixels, options.seed);
  if (!calibration_facts.labels.empty() && !evaluation_facts.labels.empty())
    check.labels = compare_classes(calibration_facts.labels, evaluation_facts.labels, options.seed);
  return {};
}

/// Parts of every float value and categories of every integer input.
Result<std::map<std::string, Counting>> Checker::counting() const {
  const SelectedSamples some(calibration, first_of(calibration_facts.selection, kPartSamples));
  NARROW_TRY(const Profile profile, calibrate(graph, "", some, pool, {.samples = 0, .batch = 1}, progress));
  std::map<std::string, Counting> counting;
  for (const auto& [name, value] : profile.values) {
    const Parts parts(value.histogram);
    counting[name] = {.parts = parts, .part_of_category = {}, .count = parts.count()};
  }
  for (const auto& [name, facts] : calibration_facts.inputs)
    if (facts.categorical) counting[name] = count_categories(facts.categories);
  return counting;
}

Status Checker::run_model(DataCheck& check) {
  NARROW_TRY(const auto how, counting());
  const Selection &mine = calibration_facts.selection, &theirs = evaluation_facts.selection;
  RunOptions run{.grouping = grouping_of(mine.size(), theirs.size()),
                 .swapped_channels = {},
                 .moments_only = false,
                 .snapshots = snapshot_counts(mine.size()),
                 .ranges = options.ranges};
  NARROW_TRY(const SetSamples old, run_samples(graph, calibration, mine, how, pool, run, progress));
  run.grouping = grouping_of(theirs.size(), mine.size());
  run.snapshots.clear();
  NARROW_TRY(const SetSamples fresh, run_samples(graph, evaluation, theirs, how, pool, run, progress));
  check.values = compare_values(old, fresh, options.ranges, *pool, options.seed);
  check.convergence = converge(old.snapshots);
  add_outliers(check.calibration, calibration, old);
  add_outliers(check.evaluation, evaluation, fresh);
  if (!old.answers.empty()) check.answers = compare_classes(old.answers, fresh.answers, options.seed);
  check.variety = compare_variety(old.sketches, fresh.sketches, options.seed);
  return compare_orders(check, old, fresh);
}

/// Images of three channels only; a sequence's states would have to be exchanged, too.
Status Checker::compare_orders(DataCheck& check, const SetSamples& mine, const SetSamples& theirs) const {
  RunOptions run{.grouping = {}, .swapped_channels = {}, .moments_only = true, .snapshots = {}, .ranges = {}};
  for (const auto& [name, facts] : calibration_facts.inputs)
    if (const auto other = evaluation_facts.inputs.find(name);
        other != evaluation_facts.inputs.end() && facts.channel_axis >= 0 && facts.channels.size() == 3 &&
        other->second.channels.size() == 3)
      run.swapped_channels[name] = swap_for(other->second, evaluation.info().pixels);
  if (run.swapped_channels.empty() || mine.selection.sequence || theirs.selection.sequence) return {};
  NARROW_TRY(
      const SetSamples my_swapped,
      run_samples(graph, calibration, first_of(mine.selection, kSwapSamples), {}, pool, run, progress));
  NARROW_TRY(
      const SetSamples their_swapped,
      run_samples(graph, evaluation, first_of(theirs.selection, kSwapSamples), {}, pool, run, progress));
  check.channels = compare_channel_order(mine, my_swapped, theirs, their_swapped);
  return {};
}

Result<DataCheck> Checker::run() {
  DataCheck check;
  NARROW_DO(read(check));
  if (const Status done = run_model(check); !done.ok()) {
    // Numbers a model cannot take are a finding about the data, not an end of the check.
    if (done.error().code != Code::numerical) return done.error();
    check.not_finite = done.error().message();
  }
  check.findings = findings_of(check, calibration.info(), evaluation.info());
  check.represents = std::none_of(check.findings.begin(), check.findings.end(),
                                  [](const Finding& finding) { return finding.fails; });
  return check;
}

}  // namespace

int64_t SetReport::copies() const {
  int64_t sum = 0;
  for (const auto& group : duplicates) sum += static_cast<int64_t>(group.size()) - 1;
  return sum;
}

Result<DataCheck> check_data(const ir::Graph& graph, const data::Dataset& calibration,
                             const data::Dataset& evaluation, std::shared_ptr<ThreadPool> pool,
                             const DataCheckOptions& options, const Progress& progress) {
  Checker checker{.graph = graph,
                  .calibration = calibration,
                  .evaluation = evaluation,
                  .pool = std::move(pool),
                  .options = options,
                  .progress = progress};
  if (options.ranges.method == Method::automatic || options.ranges.method == Method::output_error ||
      options.ranges.method == Method::moving_average)
    checker.options.ranges.method = Method::mse;
  return checker.run();
}

}  // namespace narrow::calib
