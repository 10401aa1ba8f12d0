#include "pipeline/debug.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
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
      NARROW_DO(try_settings());
      if (!result_.remedy) NARROW_DO(try_layers());
    }
    result_.out_of_time = !result_.start.holds && !result_.remedy && out_of_time();
    result_.seconds = watch_.seconds();
    return std::move(result_);
  }

 private:
  bool out_of_time() const { return watch_.seconds() > 60 * options_.budget_minutes; }

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
    const auto inputs = verify::input_specs(model_.graph);
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
    base_.setting = first_setting();
    if (given_) {
      base_.made = {quant::given_recipe(*given_), nullptr};
      NARROW_TRY(base_.judgement, judge_->judge_graph(*given_));
      result_.notes.emplace_back(
          "the model brings scales of its own, which no setting changes: a remedy is sought for its FP32 "
          "original only");
    } else {
      NARROW_TRY(base_.made, make(base_.setting, {}));
      NARROW_TRY(base_.judgement, judge_->judge(base_.made));
    }
    result_.start = base_.judgement;
    result_.notes.insert(result_.notes.end(), base_.made.recipe.notes.begin(), base_.made.recipe.notes.end());
    result_.findings =
        find_hazards(base_.made.graph(model_.graph), base_.made.recipe, base_.made.profile(profile_));
    note_trial(base_.setting, {}, base_.judgement, watch.seconds());
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
               runtime::Session::create(base_.made.graph(model_.graph), pool_, observe));
    ir::Graph graph;
    if (given_) {
      graph = given_->clone();
    } else {
      NARROW_TRY(graph, quant::apply(base_.made.graph(model_.graph), base_.made.recipe));
    }
    NARROW_TRY(runtime::Session build, runtime::Session::create(graph, pool_));
    NARROW_TRY(result_.layers,
               verify::compare_layers(observed, build, *eval_, options_.layer_samples, *pool_, progress_));
    for (const std::string& text : verify::findings(result_.layers))
      result_.findings.push_back({.kind = "layer", .node = {}, .text = text});
    suspects_ = search::rank_suspects(base_.made.graph(model_.graph), base_.made.recipe, result_.layers,
                                      search::Which::all);
    result_.narrow_layers = static_cast<int64_t>(suspects_.size());
    return {};
  }

  /// What layers are widened to first: BF16 where it is native and wider than the build's own format.
  NodeFormat wide_format() const {
    const bool half = options_.precision == Precision::bf16 || options_.precision == Precision::fp16;
    return !half && usable_isa() >= Isa::amx ? NodeFormat::bf16 : NodeFormat::fp32;
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

  /// `base_` with some layers wide, codes kept.
  Result<Judgement> judge_set(const search::LayerSet& layers, NodeFormat format) {
    const Stopwatch watch;
    NARROW_TRY(const Quantized made, widen_recipe(input(), base_.made, options_.precision,
                                                  plan_options(base_.setting), wide_of(layers, format)));
    NARROW_TRY(const Judgement judgement, judge_->judge(made));
    if (judgement.seconds > 0)
      note_trial(base_.setting, names_of(layers, format), judgement, watch.seconds());
    return judgement;
  }

  /// Every layer of the likeliest few wide alone: what it brings to the outputs.
  Status probe_layers() {
    const double noise = result_.start.noise();
    std::vector<search::Contribution> measured;
    for (size_t i = 0; i < std::min(kProbes, suspects_.size()) && !out_of_time(); ++i) {
      report(progress_, "probe layers", static_cast<int64_t>(i),
             static_cast<int64_t>(std::min(kProbes, suspects_.size())));
      NARROW_TRY(const Judgement judgement, judge_set({i}, wide_format()));
      measured.push_back({suspects_[i].node, std::max(0.0, noise - judgement.noise())});
    }
    result_.blame = search::blame(noise, std::move(measured), result_.narrow_layers);
    return {};
  }

  /// Ranges and roundings, no layer wider; ends at the first that holds and keeps the best. Half of the time
  /// is left for layers.
  Status try_settings() {
    for (const Setting& setting : other_settings(options_.precision, base_.setting)) {
      if (watch_.seconds() > 30 * options_.budget_minutes) break;
      const Stopwatch watch;
      if (setting.ranges.method == calib::Method::automatic && profile_.methods.empty()) {
        NARROW_TRY(profile_, calibrate_model(model_, *calib_, pool_, {.memory = options_.memory},
                                             setting.ranges, progress_));
      }
      NARROW_TRY(Quantized made, make(setting, {}));
      NARROW_TRY(Judgement judgement, judge_->judge(made));
      note_trial(setting, {}, judgement, watch.seconds());
      const bool better = progress_of(judgement) > progress_of(base_.judgement);
      if (better || judgement.holds) base_ = {setting, std::move(made), judgement};
      if (!judgement.holds) continue;
      // What was judged is what `narrow build` makes of this setting.
      result_.remedy = request({});
      result_.proof = judgement;
      return {};
    }
    return {};
  }

  BuildRequest request(std::vector<std::string> wide) const {
    BuildRequest request{.model = options_.model.string(),
                         .calib = options_.calib.string(),
                         .eval = options_.eval.string(),
                         .metric_command = options_.metric_command,
                         .gates = {},
                         .precision = options_.precision,
                         .setting = base_.setting,
                         .group_size = options_.group_size,
                         .confident = options_.proof == verify::Proof::ci,
                         .wide = std::move(wide)};
    for (const verify::Gate& gate : options_.gates) request.gates.push_back(gate.text);
    return request;
  }

  Status try_layers() {
    for (const NodeFormat format : {wide_format(), NodeFormat::fp32}) {
      if (format == NodeFormat::fp32 && result_.culprits && wide_format() == format) break;  // tried
      const search::SetTrial trial = [&](const search::LayerSet& layers) -> Result<search::Outcome> {
        NARROW_TRY(const Judgement judgement, judge_set(layers, format));
        return search::Outcome{.holds = judgement.holds, .score = progress_of(judgement)};
      };
      NARROW_TRY(result_.culprits,
                 search::find_culprits(suspects_.size(), trial,
                                       {.probes = kProbes, .out_of_time = [this] { return out_of_time(); }}));
      result_.culprit_names.clear();
      for (const size_t i : result_.culprits->layers) result_.culprit_names.push_back(suspects_[i].node);
      if (!result_.culprits->holds) continue;
      return prove(result_.culprits->layers, format);
    }
    return {};
  }

  /// The build anew, as `narrow build` makes it: the remaining layers are rounded knowing which are wide.
  /// When that does not hold, the next suspects are widened too, 1, 2, 4, ...
  Status prove(search::LayerSet layers, NodeFormat format) {
    for (size_t more = 1;; more *= 2) {
      const Stopwatch watch;
      NARROW_TRY(const Quantized made, make(base_.setting, wide_of(layers, format)));
      NARROW_TRY(const Judgement judgement, judge_->judge(made));
      note_trial(base_.setting, names_of(layers, format), judgement, watch.seconds());
      if (judgement.holds) {
        result_.remedy = request(names_of(layers, format));
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

  const DebugOptions& options_;
  const Progress& progress_;
  std::shared_ptr<ThreadPool> pool_;
  Stopwatch watch_;
  Model model_;
  std::optional<ir::Graph> given_;
  std::unique_ptr<data::Dataset> calib_, eval_;
  calib::Profile profile_;
  std::optional<Judge> judge_;
  Base base_;                              // the best so far without wide layers
  std::vector<search::Suspect> suspects_;  // of the build as it would be made
  DebugResult result_;
};

Json gates_json(const Judgement& judgement) {
  Json list = Json::array();
  for (const verify::GateResult& gate : judgement.gates) list.push_back(to_json(gate));
  return list;
}

const char* to_string(search::Blame::Kind kind) {
  switch (kind) {
    case search::Blame::Kind::isolated:
      return "isolated";
    case search::Blame::Kind::accumulated:
      return "accumulated";
    default:
      return "none";
  }
}

Json blame_json(const search::Blame& blame) {
  Json worst = Json::array();
  for (const search::Contribution& c : blame.worst) worst.push_back({{"node", c.node}, {"noise", c.noise}});
  return {{"kind", to_string(blame.kind)}, {"share", blame.share}, {"text", blame.text}, {"worst", worst}};
}

}  // namespace

Result<DebugResult> debug(const DebugOptions& options, const Progress& progress) {
  return Debugger(options, progress).run();
}

Json to_json(const DebugResult& r, const DebugOptions& options) {
  Json json = {{"model", options.model.string()},
               {"precision", to_string(options.precision)},
               {"samples", r.samples},
               {"holds", r.start.holds},
               {"gates", gates_json(r.start)},
               {"figures", to_json(r.start.figures)},
               {"blame", blame_json(r.blame)},
               {"notes", r.notes},
               {"layers", to_json(r.layers)},
               {"out_of_time", r.out_of_time},
               {"seconds", r.seconds}};
  Json findings = Json::array(), trials = Json::array();
  for (const Finding& f : r.findings)
    findings.push_back({{"kind", f.kind}, {"node", f.node}, {"text", f.text}});
  for (const DebugTrial& t : r.trials)
    trials.push_back({{"setting", t.setting},
                      {"wide", t.wide},
                      {"gates", gates_json(t.judgement)},
                      {"sqnr_db", t.judgement.sqnr_db()},
                      {"holds", t.judgement.holds},
                      {"seconds", t.seconds}});
  json["findings"] = std::move(findings);
  json["trials"] = std::move(trials);
  if (r.culprits)
    json["culprits"] = {{"layers", r.culprit_names},
                        {"holds", r.culprits->holds},
                        {"minimal", r.culprits->minimal},
                        {"stopped", r.culprits->stopped},
                        {"trials", r.culprits->trials}};
  if (r.remedy)
    json["remedy"] = {{"command", command_of(*r.remedy)}, {"toml", toml_of(*r.remedy)},
                      {"wide", r.remedy->wide},           {"setting", to_string(r.remedy->setting)},
                      {"gates", gates_json(*r.proof)},    {"sqnr_db", r.proof->sqnr_db()}};
  return json;
}

}  // namespace narrow::pipeline
