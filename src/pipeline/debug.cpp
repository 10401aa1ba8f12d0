#include "pipeline/debug.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/cpu.h"
#include "pipeline/calibration.h"
#include "pipeline/model.h"
#include "pipeline/quantization.h"
#include "quant/apply.h"
#include "quant/given.h"
#include "quant/wide.h"
#include "search/suspects.h"
#include "verify/evaluate.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using quant::Precision;

/// A setting with its recipe and what it gave.
struct Base {
  Setting setting;
  Quantized made;
  Judgement judgement;
};

class Debugger {
 public:
  Debugger(const DebugOptions& options, const Progress& progress)
      : options_(options), progress_(progress), pool_(std::make_shared<ThreadPool>(options.threads)) {}

  Result<DebugResult> run() {
    NARROW_DO(open());
    NARROW_DO(judge_the_build());
    NARROW_DO(compare_layers());
    if (!result_.start.holds && !given_) {
      NARROW_DO(probe_layers());
      NARROW_DO(try_quick_settings());
      if (!result_.remedy) NARROW_DO(try_layers());
      NARROW_DO(try_slow_settings());
    }
    result_.out_of_time = !result_.start.holds && !result_.remedy && out_of_time();
    result_.seconds = watch_.seconds();
    return std::move(result_);
  }

 private:
  /// This share of the budget is gone.
  bool used(double share) const { return watch_.seconds() > share * 60 * options_.budget_minutes; }
  bool out_of_time() const { return used(1); }

  Setting first_setting() const { return {options_.ranges, options_.methods}; }

  QuantizeInput input() const { return {model_.graph, &profile_, calib_.get()}; }

  quant::PlanOptions plan_options(const Setting& setting) const {
    return {.ranges = setting.ranges, .group_size = options_.group_size};
  }

  Status open() {
    report(progress_, "import", 0, 0);
    NARROW_TRY(Original original, load_original(options_.model));
    model_ = std::move(original.model);
    if (options_.precision == Precision::int8) given_ = std::move(original.given);
    result_.notes = std::move(original.notes);
    const auto inputs = verify::input_specs(ir::interface_of(model_.graph));
    NARROW_TRY(calib_, data::open_dataset(options_.calib, inputs));
    NARROW_TRY(eval_, data::open_dataset(options_.eval, inputs));
    NARROW_TRY(profile_, calibrate_model(model_, *calib_, pool_, {.memory = options_.memory}, options_.ranges,
                                         progress_));
    NARROW_TRY(judge_, Judge::create(model_.graph, *eval_,
                                     {.gates = options_.gates,
                                      .proof = options_.proof,
                                      .seed = options_.seed,
                                      .metric_command = options_.metric_command},
                                     pool_, progress_));
    result_.samples = judge_->samples();
    if (judge_->options().gates.empty())
      return Error{.code = Code::usage,
                   .subject = "--gate",
                   .expected = "a gate about answers: top1, agreement, sqnr, ...",
                   .got = "none",
                   .hint = "time and size are for `narrow build`"};
    return {};
  }

  Result<Quantized> make(const Setting& setting, const quant::Wide& wide) {
    return make_recipe(input(), options_.precision,
                       {.plan = plan_options(setting), .methods = setting.methods, .memory = options_.memory},
                       pool_, wide, progress_);
  }

  Status judge_the_build() {
    const Stopwatch watch;
    first_.setting = first_setting();
    if (given_) {
      first_.made = {quant::given_recipe(*given_), nullptr};
      NARROW_TRY(first_.judgement, judge_->judge_graph(*given_));
      result_.notes.emplace_back(
          "the model brings scales of its own, which no setting changes: a remedy is sought for its FP32 "
          "original only");
    } else {
      NARROW_TRY(first_.made, make(first_.setting, {}));
      NARROW_TRY(first_.judgement, judge_->judge(first_.made));
    }
    result_.start = first_.judgement;
    result_.notes.insert(result_.notes.end(), first_.made.recipe.notes.begin(),
                         first_.made.recipe.notes.end());
    result_.findings =
        find_hazards(first_.made.graph(model_.graph), first_.made.recipe, first_.made.profile(profile_));
    note_trial(first_.setting, {}, first_.judgement, watch.seconds());
    return {};
  }

  void note_trial(const Setting& setting, std::vector<std::string> wide, Judgement judgement,
                  double seconds) {
    report(progress_, fmt::format("trial {}", result_.trials.size() + 1), 0, 0);
    result_.trials.push_back({to_string(setting), std::move(wide), std::move(judgement), seconds});
  }

  Status compare_layers() {
    runtime::SessionOptions observe;
    observe.observe_all = true;
    NARROW_TRY(runtime::Session observed,
               runtime::Session::create(first_.made.graph(model_.graph), pool_, observe));
    ir::Graph graph;
    if (given_) {
      graph = given_->clone();
    } else {
      NARROW_TRY(graph, quant::apply(first_.made.graph(model_.graph), first_.made.recipe));
    }
    NARROW_TRY(runtime::Session build, runtime::Session::create(graph, pool_));
    NARROW_TRY(result_.layers,
               verify::compare_layers(observed, build, *eval_, options_.layer_samples, *pool_, progress_));
    for (const std::string& text : verify::findings(result_.layers))
      result_.findings.push_back({.kind = "layer", .node = {}, .text = text});
    suspects_ = search::rank_suspects(first_.made.graph(model_.graph), first_.made.recipe, result_.layers,
                                      search::Which::all);
    result_.narrow_layers = static_cast<int64_t>(suspects_.size());
    return {};
  }

  /// What layers are widened to, the cheaper first: BF16 where it is native and wider than the build's own
  /// format.
  std::vector<NodeFormat> wide_formats() const {
    const bool half = options_.precision == Precision::bf16 || options_.precision == Precision::fp16;
    if (half || !has_bf16_products(usable_isa())) return {NodeFormat::fp32};
    return {NodeFormat::bf16, NodeFormat::fp32};
  }

  quant::Wide wide_of(const search::LayerSet& layers, NodeFormat format) const {
    quant::Wide wide;
    for (const size_t i : layers) wide[suspects_[i].key] = {.reason = "debug", .format = format};
    return wide;
  }

  std::vector<std::string> names_of(const search::LayerSet& layers, NodeFormat format) const {
    std::vector<std::string> names;
    for (const size_t i : layers) names.push_back(quant::wide_text(suspects_[i].node, format));
    return names;
  }

  /// The worst gate: 0 where the build started, 1 at its bound. SQNR decides between equals (1e-6 a dB).
  double progress_of(const Judgement& judgement) const {
    double worst = 1;
    for (size_t g = 0; g < judgement.slack.size(); ++g) {
      const double from = result_.start.slack[g], now = judgement.slack[g];
      if (now >= 0) continue;
      worst = std::min(worst, from < 0 ? 1 - now / from : now);
    }
    const double sqnr = judgement.sqnr_db();
    return worst + 1e-6 * (std::isfinite(sqnr) ? sqnr : -200);
  }

  /// A base with some layers wide, codes kept.
  Result<Judgement> judge_set(const Base& base, const search::LayerSet& layers, NodeFormat format) {
    const Stopwatch watch;
    NARROW_TRY(const Quantized made, widen_recipe(input(), base.made, options_.precision,
                                                  plan_options(base.setting), wide_of(layers, format)));
    NARROW_TRY(const Judgement judgement, judge_->judge(made));
    if (judgement.seconds > 0) note_trial(base.setting, names_of(layers, format), judgement, watch.seconds());
    return judgement;
  }

  /// Every layer of the likeliest few wide alone: what it brings to the outputs; then the worst together.
  Status probe_layers() {
    const NodeFormat format = wide_formats().front();
    std::vector<std::pair<search::Contribution, size_t>> probed;
    const size_t count = std::min(kProbes, suspects_.size());
    for (size_t i = 0; i < count && !out_of_time(); ++i) {
      report(progress_, "probe layers", static_cast<int64_t>(i), static_cast<int64_t>(count));
      NARROW_TRY(const double brought, brought_by({i}, format));
      probed.push_back({{suspects_[i].node, brought}, i});
    }
    std::stable_sort(probed.begin(), probed.end(),
                     [](const auto& a, const auto& b) { return a.first.noise > b.first.noise; });
    std::vector<search::Contribution> ranked;
    std::vector<double> together;
    search::LayerSet worst;
    for (const auto& [contribution, layer] : probed) {
      ranked.push_back(contribution);
      if (worst.size() == search::kFew || out_of_time()) continue;
      worst.push_back(layer);
      std::sort(worst.begin(), worst.end());
      NARROW_TRY(const double brought, brought_by(worst, format));
      together.push_back(brought);
    }
    result_.blame = search::blame(result_.start.noise(), std::move(ranked), together, result_.narrow_layers);
    return {};
  }

  /// Noise at the outputs that goes when these layers are wide.
  Result<double> brought_by(const search::LayerSet& layers, NodeFormat format) {
    NARROW_TRY(const Judgement judgement, judge_set(first_, layers, format));
    return std::max(0.0, result_.start.noise() - judgement.noise());
  }

  /// Ranges with quick roundings, no layer wider; ends at the first that holds and keeps the best.
  Status try_quick_settings() {
    for (const Setting& setting : other_settings(options_.precision, first_.setting))
      if (is_quick(setting) && !result_.remedy && !used(kSettingShare)) NARROW_DO(try_setting(setting));
    return {};
  }

  /// The others, in the order the quick ones gave; one that holds needs no wide layer, and replaces a remedy
  /// that does. One wide layer is not worth the time.
  Status try_slow_settings() {
    if (result_.remedy && result_.remedy->wide.size() <= 1) return {};
    std::vector<Setting> settings = other_settings(options_.precision, first_.setting);
    std::erase_if(settings, is_quick);
    const auto score_of = [&](const Setting& setting) {  // not screened: last
      const auto known = screened_.find(to_string(setting.ranges));
      return known == screened_.end() ? -std::numeric_limits<double>::infinity() : known->second;
    };
    std::stable_sort(settings.begin(), settings.end(),
                     [&](const Setting& x, const Setting& y) { return score_of(x) > score_of(y); });
    const double before = best_ ? progress_of(best_->judgement) : progress_of(first_.judgement);
    for (const Setting& setting : settings) {
      const bool automatic = setting.ranges.method == calib::Method::automatic;
      if (out_of_time() || (automatic && used(kSettingShare))) break;
      NARROW_DO(try_setting(setting));
      if (result_.remedy && result_.remedy->wide.empty()) return {};
    }
    const bool better = best_ && progress_of(best_->judgement) > before;
    return result_.remedy || !better || out_of_time() ? Status{} : try_layers();
  }

  Status try_setting(const Setting& setting) {
    const Stopwatch watch;
    if (setting.ranges.method == calib::Method::automatic && profile_.methods.empty()) {
      NARROW_TRY(profile_, calibrate_model(model_, *calib_, pool_, {.memory = options_.memory},
                                           setting.ranges, progress_));
    }
    NARROW_TRY(Quantized made, make(setting, {}));
    NARROW_TRY(const Judgement judgement, judge_->judge(made));
    note_trial(setting, {}, judgement, watch.seconds());
    if (judgement.holds) {  // what was judged is what `narrow build` makes of this setting
      result_.remedy = request(setting, {});
      result_.proof = judgement;
      result_.culprits.reset();
    }
    const double score = progress_of(judgement);
    if (score > progress_of(best_ ? best_->judgement : first_.judgement))
      best_ = {setting, std::move(made), judgement};
    if (is_quick(setting)) screened_[to_string(setting.ranges)] = score;
    return {};
  }

  BuildRequest request(const Setting& setting, std::vector<std::string> wide) const {
    BuildRequest request{.model = options_.model.string(),
                         .calib = options_.calib.string(),
                         .eval = options_.eval.string(),
                         .metric_command = options_.metric_command,
                         .gates = {},
                         .precision = options_.precision,
                         .setting = setting,
                         .group_size = options_.group_size,
                         .confident = options_.proof == verify::Proof::ci,
                         .wide = std::move(wide)};
    for (const verify::Gate& gate : options_.gates) request.gates.push_back(gate.text);
    return request;
  }

  /// The fewest layers on the build as it would be made, or on the best setting where that needs fewer.
  Status try_layers() {
    for (const NodeFormat format : wide_formats()) {
      NARROW_TRY(search::Culprits found, culprits_on(first_, format));
      const Base* base = &first_;
      if (best_ && found.layers.size() != 1) {
        NARROW_TRY(const search::Culprits other, culprits_on(*best_, format));
        if (other.holds && (!found.holds || other.layers.size() < found.layers.size()))
          found = other, base = &*best_;
      }
      result_.culprits = found;
      result_.culprit_names.clear();
      for (const size_t i : found.layers) result_.culprit_names.push_back(suspects_[i].node);
      if (found.holds) return prove(*base, found.layers, format);
    }
    return {};
  }

  Result<search::Culprits> culprits_on(const Base& base, NodeFormat format) {
    const search::SetTrial trial = [&](const search::LayerSet& layers) -> Result<search::Outcome> {
      NARROW_TRY(const Judgement judgement, judge_set(base, layers, format));
      return search::Outcome{.holds = judgement.holds, .score = progress_of(judgement)};
    };
    return search::find_culprits(suspects_.size(), trial,
                                 {.probes = kProbes, .out_of_time = [this] { return used(kSearchShare); }});
  }

  /// The build anew, as `narrow build` makes it: the remaining layers are rounded knowing which are wide.
  /// When that does not hold, the next suspects are widened too, 1, 2, 4, ...
  Status prove(const Base& base, search::LayerSet layers, NodeFormat format) {
    for (size_t more = 1;; more *= 2) {
      const Stopwatch watch;
      NARROW_TRY(const Quantized made, make(base.setting, wide_of(layers, format)));
      NARROW_TRY(const Judgement judgement, judge_->judge(made));
      note_trial(base.setting, names_of(layers, format), judgement, watch.seconds());
      if (judgement.holds) {
        result_.remedy = request(base.setting, names_of(layers, format));
        result_.proof = judgement;
        return {};
      }
      const size_t before = layers.size();
      for (size_t i = 0, added = 0; i < suspects_.size() && added < more; ++i)
        if (std::find(layers.begin(), layers.end(), i) == layers.end()) layers.push_back(i), ++added;
      std::sort(layers.begin(), layers.end());
      if (layers.size() == before || out_of_time()) return {};
    }
  }

  static constexpr size_t kProbes = 8;  // layers widened alone
  // Of the budget: until then quick settings and `auto` ranges begin, and sets of layers; the rest is for the
  // proof and for slow settings.
  static constexpr double kSettingShare = 0.5, kSearchShare = 0.85;

  const DebugOptions& options_;
  const Progress& progress_;
  std::shared_ptr<ThreadPool> pool_;
  Stopwatch watch_;
  Model model_;
  std::optional<ir::Graph> given_;
  std::unique_ptr<data::Dataset> calib_, eval_;
  calib::Profile profile_;
  std::optional<Judge> judge_;
  Base first_;                              // the build as it would be made
  std::map<std::string, double> screened_;  // scores of quick settings, by ranges
  std::optional<Base> best_;                // of the other settings, where one is better
  std::vector<search::Suspect> suspects_;   // of the build as it would be made
  DebugResult result_;
};

}  // namespace

Result<DebugResult> debug(const DebugOptions& options, const Progress& progress) {
  return Debugger(options, progress).run();
}

}  // namespace narrow::pipeline
