#include "pipeline/mix_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "pipeline/layer_costs.h"
#include "quant/regions.h"
#include "search/suspects.h"

namespace narrow::pipeline {
namespace {

using quant::NodeFormat;
using search::Mix;
using search::MixLayer;

/// A mix that would gain less than what timings differ by is not worth its casts.
constexpr double kWorthIt = 0.97;

class MixSearch {
 public:
  MixSearch(const MixInput& input, const MixOptions& options, Judge& judge,
            const std::shared_ptr<ThreadPool>& pool, const Progress& progress)
      : input_(input), options_(options), judge_(judge), pool_(pool), progress_(progress) {}

  Result<MixFound> run() {
    list_layers();
    NARROW_DO(measure_noise());
    price_layers();
    found_.problem.edges = cast_edges(input_.int8.graph(input_.original), found_.problem.layers,
                                      input_.shapes, options_.cast_gb_s);
    NARROW_TRY(found_.front, search::pareto_front(found_.problem));
    NARROW_DO(try_front());
    describe();
    return std::move(found_);
  }

 private:
  bool out_of_time() {
    found_.out_of_time = found_.out_of_time || watch_.seconds() > 60 * options_.minutes;
    return found_.out_of_time;
  }

  QuantizeInput quantize_input() const { return {input_.original, &input_.profile, &input_.calib}; }

  /// Layers that int8 stores in integers, in the order of the graph.
  void list_layers() {
    for (const search::Suspect& s :
         search::rank_suspects(input_.int8.graph(input_.original), input_.int8.recipe, input_.int8_layers,
                               search::Which::heavy)) {
      if (options_.pinned.contains(s.key)) continue;
      alone_[s.key] = std::pow(10.0, -s.sqnr_db / 10);
      names_[s.key] = s.node;
    }
    for (const ir::Node* node : input_.int8.graph(input_.original).nodes())
      if (!node->outputs().empty() && names_.contains(quant::key_of(*node)))
        found_.problem.layers.push_back({quant::key_of(*node), names_.at(quant::key_of(*node)), {}});
  }

  Result<Quantized> widened(const quant::Wide& wide) const {
    return widen_recipe(quantize_input(), input_.int8, quant::Precision::int8, options_.plan, wide);
  }

  /// What the outputs lose by each layer alone in int8, every other layer wide. Layers that time did not
  /// suffice for are judged by what they lose alone, in the proportion the measured ones show.
  Status measure_noise() {
    JudgeOptions ungated;
    ungated.samples = options_.samples;
    NARROW_TRY(Judge judge, Judge::create(input_.original, input_.calib, ungated, pool_));
    NARROW_TRY(const Judgement whole, judge.judge(input_.int8));
    const auto& layers = found_.problem.layers;
    double logarithms = 0, sum = 0;
    for (size_t l = 0; l < layers.size() && watch_.seconds() < 30 * options_.minutes; ++l) {
      report(progress_, "layers alone", static_cast<int64_t>(l), std::ssize(layers));
      quant::Wide others = options_.pinned;
      for (const MixLayer& other : layers)
        if (other.key != layers[l].key) others[other.key] = {.reason = "fp32", .format = NodeFormat::fp32};
      NARROW_TRY(const Quantized alone, widened(others));
      NARROW_TRY(const Judgement judgement, judge.judge(alone));
      noise_.push_back(judgement.noise());
      logarithms += std::log(std::max(noise_.back(), 1e-20) / std::max(alone_.at(layers[l].key), 1e-20));
    }
    const double proportion = noise_.empty() ? 1 : std::exp(logarithms / static_cast<double>(noise_.size()));
    measured_ = noise_.size();
    while (noise_.size() < layers.size()) noise_.push_back(alone_.at(layers[noise_.size()].key) * proportion);
    for (const double n : noise_) sum += n;
    // Together layers lose more or less than each alone; the sum is what a bound is held against.
    if (sum > 0)
      for (double& n : noise_) n *= whole.noise() / sum;
    int8_noise_ = whole.noise();
    return {};
  }

  void price_layers() {
    for (const UniformBuild& build : input_.builds) {
      const auto times = layer_times(build.profile, found_.problem.layers);
      for (size_t l = 0; l < found_.problem.layers.size(); ++l) {
        MixLayer& layer = found_.problem.layers[l];
        // Half formats round everywhere alike; their noise is spread as that of int8 is.
        const double share = int8_noise_ > 0 ? noise_[l] / int8_noise_ : 0;
        const double noise = build.format == NodeFormat::int8   ? noise_[l]
                             : build.format == NodeFormat::fp32 ? 0
                                                                : build.noise * share;
        layer.choices.push_back({build.format, times.at(layer.node), noise});
      }
    }
  }

  Mix uniform(NodeFormat format) const {
    std::vector<size_t> choice;
    for (const MixLayer& layer : found_.problem.layers)
      choice.push_back(
          static_cast<size_t>(std::find_if(layer.choices.begin(), layer.choices.end(),
                                           [&](const search::FormatCost& c) { return c.format == format; }) -
                              layer.choices.begin()));
    return search::price(found_.problem, std::move(choice));
  }

  quant::Wide wide_of(const Mix& mix) const {
    quant::Wide wide = options_.pinned;
    for (size_t l = 0; l < mix.choice.size(); ++l) {
      const MixLayer& layer = found_.problem.layers[l];
      const search::FormatCost& taken = layer.choices[mix.choice[l]];
      if (taken.format == NodeFormat::int8) continue;
      const auto int8 = std::find_if(layer.choices.begin(), layer.choices.end(),
                                     [](const auto& c) { return c.format == NodeFormat::int8; });
      const double share = int8_noise_ > 0 ? 100 * noise_[l] / int8_noise_ : 0;
      const std::string reason =
          int8->ms < taken.ms
              ? fmt::format("{}: int8 would save {:.3f} ms and bring {:.1f}% of the noise of the int8 build",
                            to_string(taken.format), taken.ms - int8->ms, share)
              : fmt::format("{}: {:.3f} ms, in int8 {:.3f} ms", to_string(taken.format), taken.ms, int8->ms);
      wide[layer.key] = {.reason = reason, .format = taken.format};
    }
    return wide;
  }

  Result<bool> try_mix(const Mix& mix) {
    if (const auto known = tried_.find(mix.choice); known != tried_.end()) return known->second;
    report(progress_, fmt::format("mix {}", found_.trials.size() + 1), 0, 0);
    NARROW_TRY(Quantized quantized, widened(wide_of(mix)));
    NARROW_TRY(const Judgement judgement, judge_.judge(quantized));
    const auto int8 = uniform(NodeFormat::int8);
    int64_t wide = 0;
    for (size_t l = 0; l < mix.choice.size(); ++l) wide += mix.choice[l] != int8.choice[l] ? 1 : 0;
    found_.trials.push_back({mix.ms, mix.noise, wide, judgement.holds, judgement.reasons()});
    if (judgement.holds && (!found_.holds || mix.ms < found_.chosen.ms)) {
      found_.holds = true;
      found_.chosen = mix;
      found_.mix = std::move(quantized);
    }
    tried_[mix.choice] = judgement.holds;
    return judgement.holds;
  }

  /// The fastest of the front that holds, by bisection; then bounds between it and the one before, which did
  /// not; then each of its wide layers narrow again, the costliest first.
  Status try_front() {
    const Mix int8 = uniform(NodeFormat::int8);
    NARROW_TRY(const bool int8_holds, try_mix(int8));
    if (int8_holds && found_.front.front().ms > kWorthIt * int8.ms) return {};  // none can be faster
    size_t fails = 0,
           holds = found_.front.size();  // the first `fails` do not hold; holds: index of one that does
    for (size_t step = 1; fails < holds && !out_of_time();) {
      const size_t i = std::min(fails + step - 1, found_.front.size() - 1);
      NARROW_TRY(const bool good, try_mix(found_.front[i]));
      if (good) {
        holds = i;
        break;
      }
      fails = i + 1;
      if (fails == found_.front.size()) break;
      step *= 2;
    }
    while (holds < found_.front.size() && fails < holds && !out_of_time()) {
      const size_t middle = (fails + holds) / 2;
      NARROW_TRY(const bool good, try_mix(found_.front[middle]));
      if (good)
        holds = middle;
      else
        fails = middle + 1;
    }
    if (!found_.holds) return {};
    if (holds > 0) NARROW_DO(narrow_between(found_.front[holds].noise, found_.front[holds - 1].noise));
    return narrow_layers();
  }

  Status narrow_between(double holds, double fails) {
    for (int i = 0; i < 3 && !out_of_time(); ++i) {
      const double bound = std::sqrt(std::max(holds, fails * 1e-3) * fails);
      NARROW_TRY(const Mix mix, search::fastest_mix(found_.problem, bound));
      if (mix.choice == found_.chosen.choice) {
        holds = bound;
        continue;
      }
      NARROW_TRY(const bool good, try_mix(mix));
      (good ? holds : fails) = bound;
    }
    return {};
  }

  Status narrow_layers() {
    constexpr size_t kMost = 12;
    const Mix int8 = uniform(NodeFormat::int8);
    std::vector<std::pair<double, size_t>> gains;
    for (size_t l = 0; l < found_.chosen.choice.size(); ++l) {
      Mix narrower = found_.chosen;
      narrower.choice[l] = int8.choice[l];
      const double gain = found_.chosen.ms - search::price(found_.problem, narrower.choice).ms;
      if (gain > 0) gains.emplace_back(gain, l);
    }
    std::sort(gains.rbegin(), gains.rend());
    for (size_t i = 0; i < std::min(kMost, gains.size()) && !out_of_time(); ++i) {
      std::vector<size_t> choice = found_.chosen.choice;
      choice[gains[i].second] = int8.choice[gains[i].second];
      const Mix narrower = search::price(found_.problem, std::move(choice));
      if (narrower.ms >= found_.chosen.ms) continue;  // casts changed meanwhile
      NARROW_TRY([[maybe_unused]] const bool good, try_mix(narrower));
    }
    return {};
  }

  void describe() {
    const Mix int8 = uniform(NodeFormat::int8), fp32 = uniform(NodeFormat::fp32);
    std::map<NodeFormat, int> counts;
    found_.is_int8 = found_.holds && (found_.chosen.choice == int8.choice ||
                                      (found_.trials.front().holds && found_.chosen.ms > kWorthIt * int8.ms));
    if (found_.is_int8) {
      found_.notes.push_back(fmt::format(
          "int8 holds the gates, and no mix would be faster: {:.3f} ms predicted for the fastest, {:.3f} for "
          "int8",
          found_.front.front().ms, int8.ms));
      return;
    }
    if (found_.holds) {
      for (size_t l = 0; l < found_.chosen.choice.size(); ++l)
        ++counts[found_.problem.layers[l].choices[found_.chosen.choice[l]].format];
      std::string formats;
      for (const auto& [format, count] : counts)
        formats += fmt::format("{}{} {}", formats.empty() ? "" : ", ", count, to_string(format));
      found_.notes.push_back(
          fmt::format("layers: {}; predicted {:.3f} ms, all int8 {:.3f}, all fp32 {:.3f}; mixes tried: {}",
                      formats, found_.chosen.ms, int8.ms, fp32.ms, found_.trials.size()));
    } else {
      found_.notes.push_back(fmt::format("none of the {} mixes that were tried holds the gates; best: {}",
                                         found_.trials.size(),
                                         found_.trials.empty() ? "none" : found_.trials.back().gates));
    }
    std::string front;
    for (const Mix& mix : found_.front)
      front += fmt::format("{}{:.3f} ms {}", front.empty() ? "" : ", ", mix.ms,
                           mix.noise > 0 ? fmt::format("{:.0f} dB", -10 * std::log10(mix.noise)) : "exact");
    found_.notes.push_back("Pareto front, predicted: " + front);
    if (measured_ < found_.problem.layers.size())
      found_.notes.push_back(
          fmt::format("time sufficed to measure {} of {} layers alone; the others' noise is "
                      "estimated from what they lose on FP32 inputs",
                      measured_, found_.problem.layers.size()));
    if (found_.out_of_time) found_.notes.emplace_back("the search ran out of time: --budget gives it more");
  }

  const MixInput& input_;
  const MixOptions& options_;
  Judge& judge_;
  const std::shared_ptr<ThreadPool>& pool_;
  const Progress& progress_;
  Stopwatch watch_;
  std::map<std::string, double> alone_;        // noise over signal of a layer's result on FP32 inputs
  std::map<std::string, std::string> names_;   // by key
  std::vector<double> noise_;                  // of the outputs, by layer
  std::map<std::vector<size_t>, bool> tried_;  // choices, and whether they hold
  size_t measured_ = 0;
  double int8_noise_ = 0;
  MixFound found_;
};

Json mix_json(const Mix& mix) { return {{"ms", mix.ms}, {"noise", mix.noise}}; }

}  // namespace

Result<MixFound> search_mix(const MixInput& input, const MixOptions& options, Judge& judge,
                            const std::shared_ptr<ThreadPool>& pool, const Progress& progress) {
  return MixSearch(input, options, judge, pool, progress).run();
}

Json to_json(const MixFound& found) {
  Json layers = Json::array(), front = Json::array(), trials = Json::array();
  for (size_t l = 0; l < found.problem.layers.size(); ++l) {
    const MixLayer& layer = found.problem.layers[l];
    Json choices = Json::object();
    for (const search::FormatCost& c : layer.choices)
      choices[to_string(c.format)] = {{"ms", c.ms}, {"noise", c.noise}};
    layers.push_back({{"node", layer.node}, {"choices", choices}});
    if (found.holds) layers.back()["format"] = to_string(layer.choices[found.chosen.choice[l]].format);
  }
  for (const Mix& mix : found.front) front.push_back(mix_json(mix));
  for (const MixTrial& t : found.trials)
    trials.push_back(
        {{"ms", t.ms}, {"noise", t.noise}, {"wide_layers", t.wide}, {"holds", t.holds}, {"gates", t.gates}});
  return {{"holds", found.holds}, {"layers", layers}, {"front", front}, {"trials", trials}};
}

}  // namespace narrow::pipeline
