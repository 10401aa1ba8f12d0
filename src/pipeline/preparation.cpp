#include "pipeline/preparation.h"

#include <fmt/format.h>

#include "calib/calibrate.h"
#include "pipeline/calibration.h"
#include "quant/absorb_bias.h"
#include "quant/awq.h"
#include "quant/equalize.h"
#include "quant/rotate.h"
#include "quant/sampled_rows.h"
#include "quant/smooth.h"
#include "verify/rescaled.h"

namespace narrow::pipeline {
namespace {

using quant::Method;
using quant::Precision;

/// Bytes of one scale a value gain from channels of one size; values scaled row by row from outliers that
/// went elsewhere; all of them from outliers that were spread. What is not stored in integers gains nothing.
bool concerns(Method method, Precision precision) {
  switch (method) {
    case Method::rotate:
      return precision == Precision::int8 || precision == Precision::w4a8 ||
             precision == Precision::int8_dynamic || is_weight_only(precision);
    case Method::equalize:
    case Method::absorb_bias:
      return precision == Precision::int8 || precision == Precision::w4a8;
    case Method::smooth:
      return precision == Precision::int8 || precision == Precision::w4a8 ||
             precision == Precision::int8_dynamic;
    case Method::awq:
      return is_weight_only(precision);
    case Method::prune:
    case Method::outliers:
    case Method::nearest:
    case Method::hqq:
    case Method::seqmse:
    case Method::gptq:
    case Method::adaround:
    case Method::brecq:
      return false;
  }
  return false;
}

class Preparation {
 public:
  Preparation(const QuantizeInput& input, Precision precision, const QuantizeOptions& options,
              const std::shared_ptr<ThreadPool>& pool, const Progress& progress)
      : input_(input),
        precision_(precision),
        options_(options),
        pool_(pool),
        progress_(progress),
        prepared_(std::make_shared<Prepared>(Prepared{input.graph.clone(), *input.profile})) {}

  /// What was done, in words; empty when nothing was.
  Result<std::string> run(const quant::MethodUse& use) {
    if (use.method == Method::rotate) return rotate(use);
    NARROW_DO(calibrate());
    NARROW_TRY(std::string note, change(use));
    fresh_ = note.empty();
    changed_ = changed_ || !fresh_;
    return note;
  }

  Result<std::shared_ptr<const Prepared>> finish() {
    NARROW_DO(calibrate());
    if (changed_ && options_.plan.ranges.method == calib::Method::output_error)
      NARROW_DO(choose_ranges(prepared_->graph, *input_.dataset, pool_, options_.plan.ranges, options_.memory,
                              prepared_->profile, progress_));
    if (!changed_) return std::shared_ptr<const Prepared>();
    NARROW_TRY(prepared_->rescaled,
               verify::rescaled_values(input_.graph, prepared_->graph, *input_.dataset, pool_));
    return std::shared_ptr<const Prepared>(prepared_);
  }

 private:
  /// Looks at constants only. What it left alone is worth saying where nothing changed, too.
  Result<std::string> rotate(const quant::MethodUse& use) {
    NARROW_TRY(quant::RotateReport report,
               quant::rotate(prepared_->graph, {.seed = static_cast<uint64_t>(use.settings.at("seed")),
                                                .stream = use.settings.at("stream") != 0,
                                                .values = use.settings.at("values") != 0}));
    fresh_ = fresh_ && !report.changed();
    changed_ = changed_ || report.changed();
    return std::move(report.note);
  }

  Result<std::string> change(const quant::MethodUse& use) {
    if (use.method == Method::equalize) {
      NARROW_TRY(quant::EqualizeReport report,
                 quant::equalize(prepared_->graph, &prepared_->profile,
                                 {.trust = use.settings.at("trust"),
                                  .weight_bits = precision_ == Precision::w4a8 ? 4 : 8}));
      return std::move(report.note);
    }
    if (use.method == Method::absorb_bias) {
      NARROW_TRY(quant::AbsorbReport report, quant::absorb_bias(prepared_->graph, prepared_->profile, {}));
      return std::move(report.note);
    }
    const std::set<std::string> values = quant::values_to_smooth(prepared_->graph);
    if (values.empty()) return std::string();
    NARROW_TRY(const auto rows, quant::sample_rows(prepared_->graph, values, *input_.dataset, pool_));
    if (use.method == Method::awq) {
      NARROW_TRY(
          quant::AwqReport report,
          quant::awq(prepared_->graph, rows, {.groups = quant::group_options(precision_, options_.plan)}));
      return std::move(report.note);
    }
    quant::SmoothOptions smooth;
    smooth.dynamic = precision_ == Precision::int8_dynamic;
    if (options_.plan.ranges.method != calib::Method::automatic &&
        options_.plan.ranges.method != calib::Method::output_error &&
        options_.plan.ranges.method != calib::Method::moving_average)
      smooth.ranges = options_.plan.ranges;
    NARROW_TRY(quant::SmoothReport report, quant::smooth(prepared_->graph, rows, smooth));
    return std::move(report.note);
  }

  /// Methods chosen value by value stay: what a value is like does not depend on its scale.
  Status calibrate() {
    if (fresh_) return {};
    const auto methods = prepared_->profile.methods;
    NARROW_TRY(prepared_->profile,
               calib::calibrate(prepared_->graph, input_.profile->model_hash, *input_.dataset, pool_,
                                {.samples = input_.profile->samples, .memory = options_.memory}, progress_));
    prepared_->profile.methods = methods;
    fresh_ = true;
    return {};
  }

  const QuantizeInput& input_;
  Precision precision_;
  const QuantizeOptions& options_;
  const std::shared_ptr<ThreadPool>& pool_;
  const Progress& progress_;
  std::shared_ptr<Prepared> prepared_;
  bool fresh_ = true, changed_ = false;
};

}  // namespace

Result<std::shared_ptr<const Prepared>> prepare(const QuantizeInput& input, Precision precision,
                                                const QuantizeOptions& options,
                                                const std::shared_ptr<ThreadPool>& pool,
                                                std::vector<std::string>& notes, const Progress& progress) {
  std::optional<Preparation> preparation;
  for (const quant::MethodUse& use : options.methods) {
    if (!concerns(use.method, precision)) continue;
    if (input.dataset == nullptr || input.profile == nullptr) {
      notes.push_back(
          fmt::format("{} is left out: it needs calibration data (--data)", quant::name_of(use.method)));
      continue;
    }
    if (!preparation) preparation.emplace(input, precision, options, pool, progress);
    NARROW_TRY(const std::string note, preparation->run(use));
    notes.push_back(note.empty() ? fmt::format("{} found nothing to gain", quant::name_of(use.method))
                                 : note);
  }
  if (!preparation) return std::shared_ptr<const Prepared>();
  return preparation->finish();
}

}  // namespace narrow::pipeline
