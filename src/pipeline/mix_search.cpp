#include "pipeline/mix_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_text.h"
#include "pipeline/mix_words.h"
#include "quant/digest.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using search::Mix;
using search::MixLayer;

class MixSearch {
 public:
  MixSearch(const MixInput& input, const MixOptions& options, Judge& judge, MixMemory& memory,
            const Progress& progress)
      : input_(input), options_(options), judge_(judge), memory_(memory), progress_(progress) {
    question_ = gates_question(judge.options());
  }

  Result<MixFound> run(const std::shared_ptr<ThreadPool>& pool) {
    std::vector<MixLayer> layers =
        mix_layers(input_.graph(), input_.int8.recipe, input_.shapes, options_.pinned);
    NARROW_TRY(found_.noise, measure_layer_noise(
                                 input_, layers,
                                 {.plan = options_.plan,
                                  .pinned = options_.pinned,
                                  .samples = options_.samples,
                                  .seconds = 30 * options_.minutes - seconds()},  // half of the time there is
                                 memory_, pool, progress_));
    NARROW_TRY(found_.problem,
               make_mix_problem(input_, std::move(layers), found_.noise, options_.casts, options_.objective));
    constexpr int kRounds = 3;
    for (int round = 0; round < kRounds; ++round) {
      NARROW_TRY(found_.front, search::pareto_front(found_.problem));
      find_rival();
      NARROW_DO(try_front());
      NARROW_TRY(const bool believed, is_as_fast_as_predicted());
      if (believed) break;
    }
    found_.recalled = memory_.recalled();
    found_.notes = notes_of(found_);
    return std::move(found_);
  }

 private:
  double seconds() const { return options_.began.seconds(); }

  /// There is none for another trial and for the clock behind it, which tunes and opens the mix anew.
  bool is_out_of_time() const {
    const double clock = options_.clock ? 2 * longest_trial_ + options_.clock_seconds : 0;
    return seconds() + longest_trial_ + clock > 60 * options_.minutes;
  }

  /// What the answer to "does this recipe hold?" depends on beside the recipe.
  static std::string gates_question(const JudgeOptions& options) {
    Hasher hasher;
    for (const verify::Gate& gate : options.gates) hasher.add(gate.text + ";");
    hasher.add(fmt::format("{} {} {} {} {}", static_cast<int>(options.proof), options.level, options.seed,
                           options.samples, options.units.size()));
    return "gates " + hasher.hex().substr(0, 16) + ": ";
  }

  void find_rival() {
    double least = std::numeric_limits<double>::infinity();
    for (const UniformBuild& build : input_.builds) {
      Mix mix = search::uniform_mix(found_.problem, build.format);
      if (!build.holds || !(mix.price < least)) continue;
      least = mix.price;
      found_.rival = build.format;
      found_.rival_mix = std::move(mix);
    }
  }

  quant::Wide formats_of(const Mix& mix) const {
    quant::Wide formats = options_.pinned;
    for (size_t l = 0; l < mix.choice.size(); ++l) {
      const MixLayer& layer = found_.problem.layers[l];
      const NodeFormat format = layer.choices[mix.choice[l]].format;
      if (format != NodeFormat::int8)
        give_format(layer, {.reason = reason_of(found_.problem, l, mix.choice[l]), .format = format},
                    formats);
    }
    return formats;
  }

  int64_t wide_layers(const Mix& mix) const {
    int64_t wide = 0;
    for (size_t l = 0; l < mix.choice.size(); ++l) {
      const MixLayer& layer = found_.problem.layers[l];
      if (!is_float_unit(layer)) wide += layer.choices[mix.choice[l]].format != NodeFormat::int8 ? 1 : 0;
    }
    return wide;
  }

  /// False: the mix is slower than its rival, and casts were made dearer to explain it. A mix without casts
  /// is given up then: nothing is left to learn.
  Result<bool> is_as_fast_as_predicted() {
    const bool by_time =
        options_.objective == Objective::latency || options_.objective == Objective::throughput;
    if (!found_.holds || !found_.rival || !by_time || !options_.clock) return true;
    NARROW_TRY(const double ratio, measured_ratio());
    found_.measured = ratio;
    if (ratio < 1) return true;
    found_.holds = false;
    double alone = 0;
    const Mix& best = *found_.tried.best;
    for (size_t l = 0; l < best.choice.size(); ++l)
      alone += found_.problem.layers[l].choices[best.choice[l]].ms;
    const double casts = best.ms - alone, missing = ratio * found_.rival_mix.ms - best.ms;
    if (!(casts > 0) || !(missing > 0)) return true;
    const double factor = 1 + missing / casts;
    found_.cast_factor *= factor;
    for (search::MixEdge& edge : found_.problem.edges)
      for (search::CastMs& cast : edge.ms) cast.leave *= factor, cast.enter *= factor;
    return false;
  }

  Result<double> measured_ratio() {
    const std::string question =
        fmt::format("time over that of {}: {}", to_string(*found_.rival), quant::digest(found_.mix.recipe));
    if (const Json* known = memory_.find(question); known != nullptr && known->is_number())
      return known->get<double>();
    NARROW_TRY(const double ratio, options_.clock(found_.mix, *found_.rival));
    memory_.add(question, ratio);
    return ratio;
  }

  /// What a program of the user's says may change with the program: it is asked anew.
  bool can_recall() const { return judge_.options().metric_command.empty(); }

  Result<bool> holds(const Mix& mix) {
    for (const MixTrial& trial : found_.trials)
      if (trial.mix.choice == mix.choice) return trial.holds;  // of an earlier round
    report(progress_, fmt::format("mix {}", found_.trials.size() + 1), 0, 0);
    const Stopwatch watch;
    NARROW_TRY(const Quantized quantized, with_formats(input_, options_.plan, formats_of(mix)));
    const std::string question = question_ + quant::digest(quantized.recipe);
    MixTrial trial{.mix = mix, .wide = wide_layers(mix)};
    const Json* known = can_recall() ? memory_.find(question) : nullptr;
    if (known != nullptr && member(*known, "holds").is_boolean()) {
      trial.holds = known->at("holds").get<bool>();
      trial.gates = text_member(*known, "gates");
    } else {
      NARROW_TRY(const Judgement judgement, judge_.judge(quantized));
      longest_trial_ = std::max(longest_trial_, watch.seconds());
      trial.holds = judgement.holds, trial.gates = judgement.reasons();
      if (can_recall()) memory_.add(question, {{"holds", trial.holds}, {"gates", trial.gates}});
    }
    found_.trials.push_back(std::move(trial));
    return found_.trials.back().holds;
  }

  Status try_front() {
    const search::TrialOptions trials{
        .rival_price = found_.rival ? found_.rival_mix.price : std::numeric_limits<double>::infinity(),
        .out_of_time = [&] { return is_out_of_time(); }};
    NARROW_TRY(found_.tried, search::try_mixes(found_.problem, found_.front, trials,
                                               [&](const Mix& mix) { return holds(mix); }));
    found_.holds = found_.tried.best.has_value();
    if (found_.holds) {
      NARROW_TRY(found_.mix, with_formats(input_, options_.plan, formats_of(*found_.tried.best)));
    }
    return {};
  }

  const MixInput& input_;
  const MixOptions& options_;
  Judge& judge_;
  MixMemory& memory_;
  const Progress& progress_;
  std::string question_;
  double longest_trial_ = 0;  // seconds
  MixFound found_;
};

Json mix_json(const Mix& mix) { return {{"ms", mix.ms}, {"bytes", mix.bytes}, {"noise", mix.noise}}; }

Json layers_json(const MixFound& found) {
  Json layers = Json::array();
  for (size_t l = 0; l < found.problem.layers.size(); ++l) {
    const MixLayer& layer = found.problem.layers[l];
    Json choices = Json::object();
    for (const search::FormatCost& c : layer.choices)
      choices[to_string(c.format)] = {{"ms", c.ms}, {"bytes", c.bytes}, {"noise", c.noise}};
    layers.push_back({{"node", layer.node}, {"choices", choices}});
    if (found.holds) layers.back()["format"] = to_string(layer.choices[found.tried.best->choice[l]].format);
  }
  return layers;
}

}  // namespace

Result<MixFound> search_mix(const MixInput& input, const MixOptions& options, Judge& judge, MixMemory& memory,
                            const std::shared_ptr<ThreadPool>& pool, const Progress& progress) {
  return MixSearch(input, options, judge, memory, progress).run(pool);
}

Json to_json(const MixFound& found) {
  Json front = Json::array(), trials = Json::array(), casts = Json::array();
  for (const Mix& mix : found.front) front.push_back(mix_json(mix));
  for (const MixTrial& t : found.trials) {
    trials.push_back(mix_json(t.mix));
    trials.back().update({{"wide_layers", t.wide}, {"holds", t.holds}, {"gates", t.gates}});
  }
  for (const search::MixEdge& edge : found.problem.edges) {
    Json ms = Json::object();
    for (const NodeFormat format : {NodeFormat::fp16, NodeFormat::bf16, NodeFormat::int8}) {
      const search::CastMs& cast = edge.ms[static_cast<size_t>(search::carrier_of(format))];
      ms[to_string(format)] = {{"leave", cast.leave}, {"enter", cast.enter}};
    }
    casts.push_back({{"from", found.problem.layers[edge.from].node},
                     {"to", found.problem.layers[edge.to].node},
                     {"value", edge.value},
                     {"ms", std::move(ms)}});
  }
  Json json = {{"holds", found.holds},
               {"per_ms", found.problem.per_ms},
               {"per_byte", found.problem.per_byte},
               {"layers", layers_json(found)},
               {"casts", std::move(casts)},
               {"front", std::move(front)},
               {"trials", std::move(trials)},
               {"recalled", found.recalled},
               {"cast_factor", found.cast_factor},
               {"out_of_time", found.tried.out_of_time}};
  if (found.measured) json["measured_over_rival"] = *found.measured;
  if (found.rival) {
    json["rival"] = mix_json(found.rival_mix);
    json["rival"]["format"] = to_string(*found.rival);
  }
  if (found.tried.proof) json["proof"] = mix_json(*found.tried.proof);
  return json;
}

}  // namespace narrow::pipeline
