#include "pipeline/build_mixed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/json_text.h"
#include "bench/bench.h"
#include "bench/profile.h"
#include "pipeline/layer_costs.h"
#include "quant/apply.h"
#include "quant/digest.h"
#include "quant/methods.h"
#include "runtime/tactic_cache.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using quant::Precision;

std::optional<NodeFormat> format_of(Precision precision) {
  for (const NodeFormat format :
       {NodeFormat::fp32, NodeFormat::fp16, NodeFormat::bf16, NodeFormat::int8, NodeFormat::int8_dynamic,
        NodeFormat::int4, NodeFormat::int3, NodeFormat::int2, NodeFormat::w4a8, NodeFormat::int8_weights,
        NodeFormat::ternary, NodeFormat::binary})
    if (std::string_view(to_string(format)) == to_string(precision)) return format;
  return std::nullopt;
}

/// Pinned builds are the same every time: times that were measured give way to the work there is, at rates in
/// the proportion that vector units have.
void pin_times(NodeFormat format, bench::Profile& profile) {
  const bool integers = quant::computes_in_bytes(format) || format == NodeFormat::int8_dynamic;
  const bool half = format == NodeFormat::fp16 || format == NodeFormat::bf16;
  const double macs_per_ms = integers ? 2e8 : half ? 1e8 : 5e7;
  constexpr double kBytesPerMs = 1e7;
  for (bench::StepProfile& step : profile.steps)
    step.ms = static_cast<double>(step.macs) / macs_per_ms + static_cast<double>(step.bytes) / kBytesPerMs;
}

/// What noises, times and trials depend on beside the recipe they are of.
std::string about(const MixRequest& request, int threads) {
  const BuildOptions& o = request.options;
  return fmt::format(
      "mix 2; {}; {}; {} threads; batch {}; {}; ranges {} {}; {}; groups of {}; methods {}; memory {}",
      request.about, runtime::machine_key(usable_isa()), threads, o.batch,
      o.tactics == TacticSource::pinned ? "pinned" : "tuned", to_string(o.ranges.method), o.ranges.percentile,
      o.target == quant::Target::tensorrt ? "tensorrt" : "portable",
      o.group_size ? std::to_string(*o.group_size) : "standard size", quant::to_string(o.methods), o.memory);
}

class Finder {
 public:
  Finder(const MixRequest& request, Judge& judge, const std::shared_ptr<ThreadPool>& pool,
         const Progress& progress)
      : request_(request),
        judge_(judge),
        pool_(pool),
        progress_(progress),
        memory_(runtime::cache_folder(), about(request, pool->threads())) {}

  Result<MixFound> run() {
    const BuiltUniform& int8 =
        *std::find_if(request_.builds.begin(), request_.builds.end(),
                      [](const BuiltUniform& b) { return b.build->precision == Precision::int8; });
    start_ = {int8.build->recipe, int8.variant->prepared};
    layers_ = mix_layers(start_.graph(request_.original), start_.recipe, request_.shapes, request_.pinned);
    MixInput input{.original = request_.original,
                   .profile = request_.profile,
                   .calib = request_.calib,
                   .shapes = request_.shapes,
                   .int8 = start_,
                   .int8_layers = int8.build->layers,
                   .builds = {}};
    for (const BuiltUniform& built : request_.builds) NARROW_DO(add(built, input.builds));
    const bool pinned = request_.options.tactics == TacticSource::pinned;
    CastRates casts = pinned_casts();
    if (!pinned) {
      NARROW_TRY(casts, recalled_casts());
    }
    MixOptions options{.plan = request_.quantize.plan,
                       .pinned = request_.pinned,
                       .objective = request_.options.objective,
                       .minutes = request_.options.budget_minutes,
                       .casts = casts};
    options.began = began_;
    options.clock_seconds = 4 * request_.options.bench_seconds;  // tuning, and two builds in rotation
    if (!pinned)
      options.clock = [&](const Quantized& mix, NodeFormat rival) { return time_beside(mix, rival); };
    return search_mix(input, options, judge_, memory_, pool_, progress_);
  }

 private:
  Status add(const BuiltUniform& built, std::vector<UniformBuild>& builds) {
    const auto format = format_of(built.build->precision);
    const bool pinned = request_.options.tactics == TacticSource::pinned;
    if (!format) return {};
    if (*format == NodeFormat::bf16 && !pinned && !has_bf16_products(usable_isa()))
      return {};  // widened: never faster
    UniformBuild uniform{.format = *format};
    NARROW_TRY(uniform.recipe, recipe_of(built));
    NARROW_TRY(uniform.ms, times_of(built, *format));
    const auto sqnr = built.build->figures.by_name.find("sqnr");
    if (*format != NodeFormat::fp32 && sqnr != built.build->figures.by_name.end())
      uniform.noise = std::pow(10.0, -sqnr->second.value / 10);
    if (built.holds) {
      uniform.holds = *built.holds;
    } else {
      NARROW_TRY(uniform.holds, holds(*built.build));
    }
    builds.push_back(std::move(uniform));
    return {};
  }

  /// The build's plan for the graph that int8 is for: methods may have changed that, or the build's own.
  Result<quant::Recipe> recipe_of(const BuiltUniform& built) {
    if (built.variant->prepared == start_.prepared) return built.build->recipe;
    const ir::Graph& graph = start_.graph(request_.original);
    const calib::Profile& profile = start_.profile(request_.profile);
    QuantizeOptions options = request_.quantize;
    std::erase_if(options.methods, [](const auto& use) { return quant::changes_graph(use.method); });
    NARROW_TRY(Quantized made, make_recipe({graph, &profile, &request_.calib}, built.build->precision,
                                           options, pool_, request_.pinned, progress_));
    return std::move(made.recipe);
  }

  Result<std::map<std::string, double>> times_of(const BuiltUniform& built, NodeFormat format) {
    const bool pinned = request_.options.tactics == TacticSource::pinned;
    const std::string question =
        fmt::format("times of {}: {}", to_string(format), quant::digest(built.build->recipe));
    if (const Json* known = pinned ? nullptr : memory_.find(question)) {
      std::map<std::string, double> times;
      for (const search::MixLayer& layer : layers_)
        times[layer.node] = number_member(*known, layer.node.c_str());
      return times;
    }
    constexpr int kRuns = 15;
    NARROW_TRY(bench::Profile profile,
               bench::profile(*built.variant->session, request_.timed_inputs, kRuns, progress_));
    if (pinned) pin_times(format, profile);
    std::map<std::string, double> times = layer_times(profile, layers_);
    if (!pinned) memory_.add(question, Json(times));
    return times;
  }

  /// Both in rotation, kernels tuned as those of the build that will be written.
  Result<double> time_beside(const Quantized& mix, NodeFormat rival) {
    const auto beside =
        std::find_if(request_.builds.begin(), request_.builds.end(),
                     [&](const BuiltUniform& b) { return format_of(b.build->precision) == rival; });
    NARROW_TRY(const ir::Graph graph, quant::apply(mix.graph(request_.original), mix.recipe));
    NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool_));
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : request_.timed_inputs) shapes[name] = tensor.shape();
    runtime::TacticCache cache(runtime::cache_folder(), usable_isa(), pool_->threads());
    NARROW_DO(session.tune(shapes, cache));
    cache.save();
    const std::vector<bench::Contestant> both = {
        {.name = "mixed", .session = &session, .inputs = request_.timed_inputs},
        {.name = to_string(rival),
         .session = beside->variant->session.get(),
         .inputs = request_.timed_inputs}};
    NARROW_TRY(const std::vector<bench::Record> records,
               bench::measure(both, {.seconds = request_.options.bench_seconds, .rounds = 5, .batch = 1},
                              progress_));
    return records[0].median_ms / std::max(records[1].median_ms, 1e-9);
  }

  Result<CastRates> recalled_casts() {
    const std::string question = "casts";
    CastRates rates;
    const auto each = [&](auto&& visit) {
      for (auto* list : {&rates.leave, &rates.enter})
        for (CastRate& rate : *list) visit(rate.start), visit(rate.per_number);
    };
    if (const Json* known = memory_.find(question);
        known != nullptr && known->is_array() && known->size() == 4 * search::kCarriers) {
      size_t i = 0;
      each([&](double& number) {
        number = known->at(i).is_number() ? known->at(i).get<double>() : 0;
        ++i;
      });
      return rates;
    }
    NARROW_TRY(rates, measure_casts(pool_));
    Json numbers = Json::array();
    each([&](double& number) { numbers.push_back(number); });
    memory_.add(question, std::move(numbers));
    return rates;
  }

  Result<bool> holds(const Build& build) const {
    verify::Measured measured;
    measured.custom = build.custom_metric;
    for (const BuiltUniform& built : request_.builds)
      if (built.build->precision == Precision::fp32) measured.custom_reference = built.build->custom_metric;
    for (const verify::Gate& gate : judge_.options().gates) {
      NARROW_TRY(
          const verify::GateResult result,
          verify::check_gate(gate, build.figures, measured, judge_.options().proof, judge_.options().level));
      if (result.verdict != verify::GateResult::Verdict::passed) return false;
    }
    return true;
  }

  const MixRequest& request_;
  Judge& judge_;
  const std::shared_ptr<ThreadPool>& pool_;
  const Progress& progress_;
  MixMemory memory_;
  Quantized start_;  // int8
  std::vector<search::MixLayer> layers_;
  Stopwatch began_;
};

}  // namespace

Result<MixFound> find_mix(const MixRequest& request, Judge& judge, const std::shared_ptr<ThreadPool>& pool,
                          const Progress& progress) {
  return Finder(request, judge, pool, progress).run();
}

}  // namespace narrow::pipeline
