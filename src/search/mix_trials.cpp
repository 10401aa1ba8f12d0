#include "search/mix_trials.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace narrow::search {
namespace {

/// A layer that a cheaper format would take.
struct Step {
  size_t layer = 0, choice = 0;
  double gain = 0;
};

class Trials {
 public:
  Trials(const MixProblem& problem, const TrialOptions& options, const MixTest& holds)
      : problem_(problem), options_(options), holds_(holds) {}

  Result<TriedMixes> run(const std::vector<Mix>& whole_front) {
    std::vector<Mix> front;
    for (const Mix& mix : whole_front)
      if (mix.price < limit()) front.push_back(mix);
    result_.none_is_cheaper = front.empty();
    if (front.empty()) return result_;
    NARROW_TRY(const size_t first, first_that_holds(front));
    if (first == front.size()) NARROW_DO(try_quietest());
    if (!result_.best) return std::move(result_);
    if (first > 0) NARROW_DO(bisect_noise(result_.best->noise, front[first - 1].noise));
    NARROW_DO(narrow_groups());
    return std::move(result_);
  }

 private:
  double limit() const { return options_.worth_it * options_.rival_price; }

  bool out_of_time() { return result_.out_of_time = result_.out_of_time || options_.out_of_time(); }

  Result<bool> attempt(const Mix& mix) {
    if (const auto known = known_.find(mix.choice); known != known_.end()) return known->second;
    NARROW_TRY(const bool good, holds_(mix));
    if (good && (!result_.best || mix.price < result_.best->price)) result_.best = mix;
    return known_[mix.choice] = good;
  }

  /// Index of the first mix of the front that holds, as far as noise decides; its size where none does.
  Result<size_t> first_that_holds(const std::vector<Mix>& front) {
    size_t fails = 0, holds = front.size();  // those before `fails` do not hold
    for (size_t step = 1; fails < front.size() && !out_of_time(); step *= 2) {
      const size_t i = std::min(fails + step - 1, front.size() - 1);
      NARROW_TRY(const bool good, attempt(front[i]));
      if (good) {
        holds = i;
        break;
      }
      fails = i + 1;
    }
    while (holds < front.size() && fails < holds && !out_of_time()) {
      const size_t middle = (fails + holds) / 2;
      NARROW_TRY(const bool good, attempt(front[middle]));
      if (good)
        holds = middle;
      else
        fails = middle + 1;
    }
    return holds;
  }

  Status try_quietest() {
    if (out_of_time()) return {};
    NARROW_TRY(Mix quietest, quietest_mix(problem_, limit()));
    NARROW_TRY(const bool good, attempt(quietest));
    if (!good) result_.proof = std::move(quietest);
    return {};
  }

  /// In octaves of noise, to a sixteenth of the first distance.
  Status bisect_noise(double holds, double fails) {
    constexpr double kSilence = 1e-3;  // of the noise that fails: where nothing at all is left of it
    holds = std::max(holds, fails * kSilence);
    for (int i = 0; i < 4 && fails > holds && !out_of_time(); ++i) {
      const double bound = std::sqrt(holds * fails);
      const Result<Mix> mix = best_mix(problem_, bound);
      if (!mix.ok()) return {};  // quieter than the quietest
      NARROW_TRY(const bool good, attempt(*mix));
      (good ? holds : fails) = bound;
    }
    return {};
  }

  /// Every cheaper choice of a layer, casts included, most gain first.
  std::vector<Step> steps() const {
    constexpr double kLeastGain = 2e-3;  // of the whole: less is lost in the timings
    const Mix& best = *result_.best;
    std::vector<Step> found;
    for (size_t l = 0; l < best.choice.size(); ++l)
      for (size_t c = 0; c < problem_.layers[l].choices.size(); ++c) {
        std::vector<size_t> choice = best.choice;
        choice[l] = c;
        const double gain = best.price - price(problem_, std::move(choice)).price;
        if (gain > kLeastGain * best.price) found.push_back({l, c, gain});
      }
    std::stable_sort(found.begin(), found.end(),
                     [](const Step& a, const Step& b) { return a.gain > b.gain; });
    return found;
  }

  /// The first of each layer.
  static std::vector<Step> one_each(const std::vector<Step>& steps) {
    std::vector<Step> firsts;
    for (const Step& step : steps)
      if (std::none_of(firsts.begin(), firsts.end(), [&](const Step& s) { return s.layer == step.layer; }))
        firsts.push_back(step);
    return firsts;
  }

  Result<bool> take(const std::vector<Step>& found, size_t first, size_t count) {
    std::vector<size_t> choice = result_.best->choice;
    for (size_t i = first; i < std::min(first + count, found.size()); ++i)
      choice[found[i].layer] = found[i].choice;
    const Mix cheaper = price(problem_, std::move(choice));
    if (!(cheaper.price < result_.best->price)) return false;  // casts changed meanwhile
    return attempt(cheaper);
  }

  Status narrow_groups() {
    const std::vector<Step> layers = one_each(steps());
    for (size_t size = (layers.size() + 1) / 2; size > 1; size = (size + 1) / 2)
      for (size_t first = 0; first < layers.size(); first += size) {
        if (out_of_time()) return {};
        NARROW_TRY([[maybe_unused]] const bool good, take(layers, first, size));
      }
    const std::vector<Step> single = steps();
    for (size_t i = 0; i < single.size() && !out_of_time(); ++i) {
      NARROW_TRY([[maybe_unused]] const bool good, take(single, i, 1));
    }
    return {};
  }

  const MixProblem& problem_;
  const TrialOptions& options_;
  const MixTest& holds_;
  std::map<std::vector<size_t>, bool> known_;
  TriedMixes result_;
};

}  // namespace

Result<TriedMixes> try_mixes(const MixProblem& problem, const std::vector<Mix>& front,
                             const TrialOptions& options, const MixTest& holds) {
  return Trials(problem, options, holds).run(front);
}

}  // namespace narrow::search
