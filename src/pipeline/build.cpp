#include "pipeline/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/json_text.h"
#include "data/dataset.h"
#include "pipeline/build_mixed.h"
#include "pipeline/calibration.h"
#include "pipeline/findings.h"
#include "pipeline/judge.h"
#include "pipeline/manifest.h"
#include "pipeline/metric_command.h"
#include "pipeline/peaks.h"
#include "pipeline/quantization.h"
#include "pipeline/sequential_proof.h"
#include "pipeline/variant.h"
#include "quant/apply.h"
#include "quant/given.h"
#include "quant/wide.h"
#include "report/report.h"
#include "runtime/states.h"
#include "verify/evaluate.h"

namespace narrow::pipeline {
namespace fs = std::filesystem;
namespace {

using quant::NodeFormat;
using quant::Precision;

/// Everything one run of `narrow build` holds while it walks its steps.
class Builder {
 public:
  Builder(const BuildOptions& options, const Progress& progress)
      : options_(options), progress_(progress), pool_(std::make_shared<ThreadPool>(options.threads)) {}

  Result<BuildResult> run() {
    NARROW_TRY(StagedFolder folder, StagedFolder::create(options_.out));
    folder_ = folder.path();
    NARROW_DO(open());
    NARROW_DO(calibrate());
    NARROW_DO(make_builds());
    NARROW_DO(evaluate_builds());
    NARROW_DO(compare_layers());
    NARROW_DO(make_mixed());
    NARROW_DO(measure());
    NARROW_DO(choose());
    NARROW_DO(profile_chosen());
    NARROW_DO(write_manifest());
    NARROW_DO(write_report());
    NARROW_DO(folder.commit());
    return std::move(result_);
  }

 private:
  bool wants(Precision p) const {
    return std::find(options_.precisions.begin(), options_.precisions.end(), p) != options_.precisions.end();
  }

  Status open() {
    report(progress_, "import", 0, 0);
    NARROW_TRY(Original original, load_original(options_.model));
    model_ = std::move(original.model);
    given_ = std::move(original.given);
    result_.notes = std::move(original.notes);
    result_.given_pairs = std::move(original.pairs);
    NARROW_TRY(wide_, quant::parse_wide(model_.graph, options_.wide));
    result_.summary = summarize(model_.graph);
    result_.model_hash = model_.hash;
    result_.passes = model_.passes;
    const auto inputs = verify::input_specs(model_.graph);
    NARROW_TRY(calib_, data::open_dataset(options_.calib, inputs));
    result_.calib_hash = calib_->info().hash;
    if (!options_.eval.empty()) {
      NARROW_TRY(eval_, data::open_dataset(options_.eval, inputs));
      result_.eval_hash = eval_->info().hash;
    }
    NARROW_DO(begin_proof());
    NARROW_TRY(const data::Batch sample, calib_->read(0, calib_->batch_of(1), *pool_));
    NARROW_TRY(const runtime::CarriedStates states,
               runtime::CarriedStates::create(calib_->info().states, model_.graph));
    for (const auto& [name, tensor] : states.with(sample.inputs)) shapes_[name] = tensor.shape();
    origin_ = {{"tool", "narrow 0.1.0"}, {"model", model_.hash}, {"calibration_data", calib_->info().hash}};
    return {};
  }

  /// Wrong gates are named before anything is computed.
  Status begin_proof() {
    if (options_.proof != verify::Proof::sequential) return {};
    if (!eval_ || !options_.metric_command.empty())
      return Error{.code = Code::usage,
                   .subject = "--proof sequential",
                   .expected = "samples to judge on one by one (--eval, without --metric-cmd)",
                   .got = eval_ ? "--metric-cmd, which asks for all of them" : "no --eval",
                   .hint = eval_ ? "--proof point" : ""};
    NARROW_TRY(proof_,
               SequentialProof::create(options_.gates, *eval_, options_.seed, options_.layer_samples));
    return {};
  }

  Status calibrate() {
    NARROW_TRY(profile_, calibrate_model(model_, *calib_, pool_, {.memory = options_.memory}, options_.ranges,
                                         progress_));
    result_.calib_samples = profile_.samples;
    return calib::write_profile(folder_ / "calibration.json", profile_);
  }

  static bool narrows_anything(const quant::Recipe& recipe) {
    return !recipe.tables.empty() ||
           std::any_of(recipe.nodes.begin(), recipe.nodes.end(),
                       [](const auto& node) { return node.second.format != NodeFormat::fp32; });
  }

  bool has_bodies() const {
    for (const ir::Op op : {ir::Op::If, ir::Op::Loop, ir::Op::Scan})
      if (!model_.graph.nodes_of(op).empty()) return true;
    return false;
  }

  QuantizeOptions quantize_options() const {
    return {.plan = {.ranges = options_.ranges, .target = options_.target, .group_size = options_.group_size},
            .methods = options_.methods,
            .memory = options_.memory};
  }

  Result<Quantized> recipe_for(Precision precision) {
    if (precision == Precision::int8 && given_) return Quantized{quant::given_recipe(*given_), nullptr};
    return make_recipe({model_.graph, &profile_, calib_.get()}, precision, quantize_options(), pool_, wide_,
                       progress_);
  }

  /// FP32 is always made: it is the reference. Its files are shipped only when asked for.
  Status make_builds() {
    for (const Precision precision :
         {Precision::fp32, Precision::bf16, Precision::fp16, Precision::int8, Precision::w4a8,
          Precision::int8_dynamic, Precision::int8_weights, Precision::int4, Precision::int3, Precision::int2,
          Precision::ternary, Precision::binary}) {
      if (precision != Precision::fp32 && !wants(precision) &&
          !(precision == Precision::int8 && wants(Precision::mixed)))
        continue;
      report(progress_, fmt::format("quantize {}", to_string(precision)), 0, 0);
      NARROW_TRY(Quantized quantized, recipe_for(precision));
      if (precision != Precision::fp32 && !narrows_anything(quantized.recipe)) {
        result_.skipped.push_back(
            fmt::format("{}: nothing in this model would be narrower{}", to_string(precision),
                        has_bodies() ? " (layers inside If, Loop and Scan stay fp32)" : ""));
        continue;
      }
      NARROW_DO(add_variant(std::move(quantized)));
    }
    return {};
  }

  Status add_variant(Quantized quantized) {
    const Precision precision = quantized.recipe.precision;
    ir::Graph graph;
    if (precision == Precision::int8 && given_) {
      graph = given_->clone();
    } else {
      NARROW_TRY(graph, quant::apply(quantized.graph(model_.graph), quantized.recipe));
    }
    if (options_.target == quant::Target::tensorrt) NARROW_DO(check_tensorrt(graph, to_string(precision)));
    NARROW_TRY(Variant variant, make_variant(graph, std::move(quantized.recipe), origin_, folder_, shapes_,
                                             options_.tactics, pool_));
    variant.prepared = std::move(quantized.prepared);
    Build build;
    build.precision = precision;
    build.name = variant.name;
    build.recipe = variant.recipe;
    build.file_bytes = variant.file_bytes;
    build.onnx_bytes = variant.onnx_bytes;
    NARROW_TRY(build.ledger, artifact::read_ledger(folder_ / (variant.name + ".narrow")));
    build.findings = variant.recipe.notes;
    result_.builds.push_back(std::move(build));
    variants_.push_back(std::move(variant));
    return {};
  }

  runtime::Session& reference() { return *variants_.front().session; }

  Result<verify::Evaluation> score(const std::vector<verify::Contestant>& builds, bool first,
                                   const verify::OutputSink& sink) {
    if (!proof_ || builds.empty())
      return verify::evaluate(reference(), builds, *eval_, *pool_, progress_, sink);
    if (!first) return proof_->prove_mix(reference(), builds, *pool_, progress_);
    proof_->expect(std::ssize(builds), seeks_mix());
    return proof_->prove(reference(), builds, *pool_, progress_);
  }

  /// Of the build that was scored as number `k`, on the first `samples` it answered.
  verify::Figures figures_of(size_t k, int64_t samples) const {
    const auto n = static_cast<size_t>(samples);
    return verify::make_figures(std::span(scores_.builds[k]).first(n), std::span(scores_.reference).first(n),
                                options_.seed);
  }

  /// Scores of the builds from `first` on, against FP32 on the evaluation data.
  Status evaluate_from(size_t first) {
    if (!eval_) return {};
    std::vector<verify::Contestant> contestants;
    for (size_t i = std::max<size_t>(first, 1); i < variants_.size(); ++i)
      contestants.push_back({variants_[i].name, variants_[i].session.get()});
    std::vector<OutputCollector> collectors(contestants.size() + 1);
    verify::OutputSink sink;
    if (!options_.metric_command.empty())
      sink = [&](size_t i, const data::Batch& batch, const TensorMap& outputs) {
        return collectors[i].add(batch, outputs);
      };
    NARROW_TRY(scores_, score(contestants, first == 0, sink));
    tried_ += static_cast<int64_t>(contestants.size());
    if (first == 0)
      result_.builds[0].figures = verify::make_figures(scores_.reference, scores_.reference, options_.seed);
    for (size_t k = 0; k < contestants.size(); ++k)
      result_.builds[variants_.size() - contestants.size() + k].figures =
          figures_of(k, std::ssize(scores_.builds[k]));
    if (options_.metric_command.empty()) return {};
    for (size_t k = first == 0 ? 0 : 1; k <= contestants.size(); ++k) {
      Build& build =
          k == 0 ? result_.builds[0] : result_.builds[variants_.size() - contestants.size() + k - 1];
      NARROW_TRY(build.custom_metric, run_metric_command(options_.metric_command, collectors[k].arrays()));
    }
    return {};
  }

  Status evaluate_builds() { return evaluate_from(0); }

  const data::Dataset& layer_data() const { return eval_ ? *eval_ : *calib_; }

  const ir::Graph& answers_of(const Variant& variant) const {
    return variant.prepared != nullptr ? variant.prepared->answers() : model_.graph;
  }
  const ir::Graph& graph_of(const Variant& variant) const {
    return variant.prepared != nullptr ? variant.prepared->graph : model_.graph;
  }
  const calib::Profile& profile_of(const Variant& variant) const {
    return variant.prepared != nullptr ? variant.prepared->profile : profile_;
  }

  Status compare_layers_of(size_t index) {
    runtime::SessionOptions options;
    options.observe_all = true;
    const Variant& variant = variants_[index];
    NARROW_TRY(runtime::Session observed, runtime::Session::create(answers_of(variant), pool_, options));
    Build& build = result_.builds[index];
    NARROW_TRY(build.layers, verify::compare_layers(observed, *variant.session, layer_data(),
                                                    options_.layer_samples, *pool_, progress_));
    const std::vector<std::string> found = verify::findings(build.layers);
    build.findings.insert(build.findings.end(), found.begin(), found.end());
    // Overflows are among the recipe's notes already.
    for (const auto& ranges : {mixed_ranges(graph_of(variant), build.recipe, profile_of(variant)),
                               masked_ranges(graph_of(variant), build.recipe, profile_of(variant))})
      for (const Finding& finding : ranges) build.findings.push_back(finding.text);
    return {};
  }

  Status compare_layers() {
    for (size_t i = 1; i < variants_.size(); ++i) NARROW_DO(compare_layers_of(i));
    return {};
  }

  /// While it is not known how many builds will be tried: as if those so far were all, each corrected for
  /// them.
  double level_so_far() const { return 1 - 0.05 / static_cast<double>(std::max<int64_t>(1, tried_)); }

  bool has_int8() const {
    return std::any_of(result_.builds.begin(), result_.builds.end(),
                       [](const Build& b) { return b.precision == Precision::int8; });
  }

  bool gates_answers() const {
    return std::any_of(options_.gates.begin(), options_.gates.end(), verify::is_about_answers);
  }

  bool seeks_mix() const {
    return wants(Precision::mixed) && has_int8() && !given_ && eval_ && gates_answers();
  }

  /// What the search for a mix may know of a build that was scored as number `k`: how it does on the samples
  /// of the search.
  Status show_to_search(size_t k, Build& build, std::optional<bool>& holds) const {
    const int64_t samples = std::min(std::ssize(scores_.builds[k]), proof_->search_samples());
    if (samples > 0) build.figures = figures_of(k, samples);
    NARROW_TRY(holds, proof_->holds_in_search(scores_.builds[k], scores_.reference));
    return {};
  }

  Result<Judge> judge_of_mixes() {
    JudgeOptions judge{.gates = options_.gates,
                       .proof = options_.proof,
                       .level = level_so_far(),
                       .seed = options_.seed,
                       .metric_command = options_.metric_command,
                       .samples = 0,
                       .units = {}};
    if (proof_) judge.units = proof_->search_units();
    return Judge::create(model_.graph, *eval_, std::move(judge), pool_, progress_);
  }

  Result<MixFound> search_for_mix() {
    NARROW_TRY(Judge judge, judge_of_mixes());
    NARROW_DO(repeat_inputs());
    MixRequest request{.options = options_,
                       .original = model_.graph,
                       .profile = profile_,
                       .calib = *calib_,
                       .shapes = shapes_,
                       .timed_inputs = timed_inputs_,
                       .pinned = wide_,
                       .quantize = quantize_options(),
                       .builds = {},
                       .about = fmt::format("model {}; calibration {}; evaluation {}", model_.hash,
                                            result_.calib_hash, result_.eval_hash)};
    std::vector<Build> shown;
    if (proof_) shown = result_.builds;
    for (size_t i = 0; i < variants_.size(); ++i) {
      request.builds.push_back({proof_ ? &shown[i] : &result_.builds[i], &variants_[i]});
      if (proof_ && i > 0) NARROW_DO(show_to_search(i - 1, shown[i], request.builds.back().holds));
    }
    return find_mix(request, judge, pool_, progress_);
  }

  Status make_mixed() {
    if (!wants(Precision::mixed) || !has_int8()) return {};
    if (!seeks_mix()) {
      result_.skipped.emplace_back(
          given_ ? "mixed: the model brings scales of its own"
                 : "mixed: no gate about answers to hold it against (--gate with --eval)");
      return drop_unwanted_int8();
    }
    NARROW_TRY(MixFound found, search_for_mix());
    result_.mix = to_json(found);
    tried_ += std::ssize(found.trials);
    if (!found.holds) {
      for (const std::string& note : found.notes) result_.skipped.push_back("mixed: " + note);
      return drop_unwanted_int8();
    }
    --tried_;  // what is evaluated below was tried already
    found.mix.recipe.precision = Precision::mixed;
    found.mix.recipe.notes.insert(found.mix.recipe.notes.end(), found.notes.begin(), found.notes.end());
    NARROW_DO(add_variant(std::move(found.mix)));
    NARROW_DO(evaluate_from(variants_.size() - 1));
    NARROW_DO(compare_layers_of(variants_.size() - 1));
    return drop_unwanted_int8();
  }

  /// int8 is the start of mixed; when only mixed was asked for it is not shipped.
  Status drop_unwanted_int8() {
    if (wants(Precision::int8)) return {};
    for (size_t i = 1; i < variants_.size(); ++i)
      if (result_.builds[i].precision == Precision::int8) {
        remove_files("int8");
        variants_.erase(variants_.begin() + static_cast<int64_t>(i));
        result_.builds.erase(result_.builds.begin() + static_cast<int64_t>(i));
        break;
      }
    return {};
  }

  void remove_files(const std::string& name) {
    std::error_code ignored;
    fs::remove(folder_ / (name + ".narrow"), ignored);
    fs::remove(folder_ / (name + ".onnx"), ignored);
  }

  /// A model whose batch is fixed, or whose states lie along other axes, is timed at the batch it takes.
  int64_t timed_batch() const {
    const int64_t fixed = layer_data().info().largest_batch;
    return fixed > 0 ? fixed : options_.batch;
  }

  /// What builds are timed on: one sample, `timed_batch()` times.
  Status repeat_inputs() {
    NARROW_TRY(const data::Batch sample, layer_data().read(0, layer_data().batch_of(1), *pool_));
    NARROW_TRY(const runtime::CarriedStates states,
               runtime::CarriedStates::create(layer_data().info().states, model_.graph));
    const TensorMap inputs = states.with(sample.inputs);
    timed_inputs_ = layer_data().info().largest_batch > 0 ? inputs : repeat(inputs, options_.batch);
    return {};
  }

  Status measure() {
    NARROW_DO(repeat_inputs());
    const int64_t batch = timed_batch();
    std::vector<bench::Contestant> contestants;
    for (size_t i = 0; i < variants_.size(); ++i)
      contestants.push_back({.name = variants_[i].name,
                             .session = variants_[i].session.get(),
                             .inputs = timed_inputs_,
                             .load_ms = variants_[i].load_ms,
                             .bytes = variants_[i].file_bytes});
    NARROW_TRY(std::vector<bench::Record> records,
               bench::measure(contestants, {.seconds = options_.bench_seconds, .rounds = 5, .batch = batch},
                              progress_));
    for (size_t i = 0; i < records.size(); ++i) result_.builds[i].record = std::move(records[i]);
    return keep_plans(contestants);
  }

  /// Which kernel every step of what was timed ran with.
  Status keep_plans(const std::vector<bench::Contestant>& timed) {
    for (size_t i = 0; i < timed.size(); ++i) {
      std::map<std::string, Shape> shapes;
      for (const auto& [name, tensor] : timed[i].inputs) shapes[name] = tensor.shape();
      NARROW_TRY(result_.builds[i].plan, timed[i].session->plan_info(shapes));
    }
    return {};
  }

  /// One sample `batch` times along the first axis.
  static TensorMap repeat(const TensorMap& sample, int64_t batch) {
    if (batch <= 1) return sample;
    TensorMap repeated;
    for (const auto& [name, tensor] : sample) {
      Shape shape = tensor.shape();
      shape[0] *= batch;
      Tensor all = Tensor::allocate(tensor.dtype(), shape);
      for (int64_t i = 0; i < batch; ++i)
        std::memcpy(static_cast<std::byte*>(all.mutable_raw()) + i * tensor.bytes(), tensor.raw(),
                    static_cast<size_t>(tensor.bytes()));
      repeated[name] = std::move(all);
    }
    return repeated;
  }

  void compare_tried_builds() {
    std::vector<TriedBuild> tried;
    for (size_t i = 1; i < result_.builds.size(); ++i)
      tried.push_back({result_.builds[i].name, &result_.builds[i].figures});
    result_.comparisons =
        proof_ ? proof_->comparisons() : compare_tried(tried, options_.gates, options_.proof, tried_);
    if (proof_) result_.taken = proof_->taken();
  }

  Status choose() {
    const Build& fp32 = result_.builds.front();
    compare_tried_builds();
    std::vector<Option> candidates;
    for (Build& build : result_.builds) {
      Option option{.name = build.name,
                    .is_reference = build.precision == Precision::fp32,
                    .p50_ms = build.record.median_ms,
                    .throughput = build.record.throughput,
                    .bytes = build.file_bytes,
                    .failed_gates = {},
                    .inconclusive_gates = {},
                    .note = {}};
      verify::Measured measured{
          .p50_ms = build.record.median_ms,
          .p90_ms = build.record.p90_ms,
          .p99_ms = build.record.p99_ms,
          .size_ratio = static_cast<double>(build.file_bytes) / static_cast<double>(fp32.file_bytes),
          .speedup = fp32.record.median_ms / build.record.median_ms,
          .custom = build.custom_metric,
          .custom_reference = fp32.custom_metric};
      for (size_t g = 0; g < options_.gates.size(); ++g) {
        const verify::Gate& gate = options_.gates[g];
        // FP32 is what drops are measured from; ratios to itself say nothing.
        if (option.is_reference && (gate.metric == "size" || gate.metric == "speedup")) continue;
        NARROW_TRY(verify::GateResult result,
                   verify::check_gate(gate, build.figures, measured, options_.proof,
                                      result_.comparisons.level_of(build.name)));
        if (proof_) result = proof_->result(build.name, g, std::move(result));
        if (result.verdict == verify::GateResult::Verdict::failed)
          option.failed_gates.push_back(result.reason);
        if (result.verdict == verify::GateResult::Verdict::inconclusive)
          option.inconclusive_gates.push_back(result.reason);
        build.gates.push_back(std::move(result));
      }
      if (!option.failed_gates.empty()) option.note = worst_layer(build);
      candidates.push_back(std::move(option));
    }
    result_.decision = decide(candidates, options_.objective);
    if (!wants(Precision::fp32)) remove_files("fp32");
    return {};
  }

  /// "worst: conv_dw_1 (11 dB alone)".
  static std::string worst_layer(const Build& build) {
    const verify::LayerReport* worst = nullptr;
    for (const verify::LayerReport& layer : build.layers)
      if (layer.computes &&
          (worst == nullptr || layer.isolated.distortion.sqnr_db() < worst->isolated.distortion.sqnr_db()))
        worst = &layer;
    return worst == nullptr ? ""
                            : fmt::format("worst: {} ({:.0f} dB alone)", worst->node,
                                          worst->isolated.distortion.sqnr_db());
  }

  /// Where the time of the chosen build goes, in a few runs of what was timed, and the machine's ceilings.
  Status profile_chosen() {
    constexpr double kMilliseconds = 300;
    constexpr int kMostRuns = 100;
    for (size_t i = 0; i < result_.builds.size(); ++i) {
      Build& build = result_.builds[i];
      if (build.name != result_.decision.chosen) continue;
      const double pair_ms = 2 * std::max(build.record.median_ms, 1e-3);  // one unwatched, one watched
      const int runs = static_cast<int>(std::clamp(kMilliseconds / pair_ms, 1.0, double{kMostRuns}));
      const bench::Roofs before = measure_roofs(pool_->threads());
      NARROW_TRY(build.profile, bench::profile(*variants_[i].session, timed_inputs_, runs, progress_));
      build.profile->set_roofs(bench::higher(before, measure_roofs(pool_->threads())));
    }
    return {};
  }

  Status write_manifest() {
    result_.manifest = make_manifest(options_, result_, model_.graph, pool_->threads());
    return write_file(folder_ / "manifest.json", json_text(result_.manifest, 2) + "\n");
  }

  Status write_report() {
    return write_file(folder_ / "report.html", reports::make_report(result_.manifest, profile_));
  }

  const BuildOptions& options_;
  const Progress& progress_;
  std::shared_ptr<ThreadPool> pool_;
  fs::path folder_;
  Model model_;
  std::optional<ir::Graph> given_;  // the quantized model as it came
  std::unique_ptr<data::Dataset> calib_, eval_;
  calib::Profile profile_;
  quant::Wide wide_;  // asked for
  Json origin_;
  Shapes shapes_;                         // of one sample
  std::vector<Variant> variants_;         // as result_.builds
  verify::Evaluation scores_;             // of the builds that were evaluated last
  std::optional<SequentialProof> proof_;  // with Proof::sequential
  int64_t tried_ = 0;                     // builds that were scored on the evaluation data
  TensorMap timed_inputs_;
  BuildResult result_;
};

}  // namespace

bool BuildResult::gates_passed() const {
  if (decision.chosen.empty()) return false;
  // FP32 alone passing is no pass: a narrower build was asked for.
  for (const Verdict& verdict : decision.verdicts)
    if (verdict.passes && verdict.name != "fp32") return true;
  return builds.size() == 1;
}

bool BuildResult::inconclusive() const {
  for (const Build& build : builds)
    for (const verify::GateResult& gate : build.gates)
      if (gate.verdict == verify::GateResult::Verdict::inconclusive) return true;
  return false;
}

Result<BuildResult> build(const BuildOptions& options, const Progress& progress) {
  return Builder(options, progress).run();
}

}  // namespace narrow::pipeline
