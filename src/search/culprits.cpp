#include "search/culprits.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

namespace narrow::search {
namespace {

class Search {
 public:
  Search(size_t layers, const SetTrial& trial, const CulpritOptions& options)
      : trial_(trial), options_(options), ranking_(layers) {
    std::iota(ranking_.begin(), ranking_.end(), 0U);
  }

  Result<Culprits> run() {
    NARROW_DO(probe());
    if (!best_) NARROW_DO(grow());
    if (best_ && options_.shrink) NARROW_DO(shrink());
    result_.holds = best_.has_value();
    result_.layers = best_ ? *best_ : promising_;
    return std::move(result_);
  }

 private:
  /// Nothing when trials or time ran out. A set that was tried is remembered.
  Result<std::optional<Outcome>> tried(LayerSet set) {
    std::sort(set.begin(), set.end());
    if (const auto known = known_.find(set); known != known_.end()) return std::optional(known->second);
    if ((options_.most_trials > 0 && result_.trials >= options_.most_trials) ||
        (options_.out_of_time && options_.out_of_time())) {
      result_.stopped = true;
      return std::optional<Outcome>();
    }
    ++result_.trials;
    NARROW_TRY(const Outcome outcome, trial_(set));
    known_.emplace(set, outcome);
    if (outcome.holds && (!best_ || set.size() < best_->size())) best_ = set;
    if (!outcome.holds && (known_.size() == 1 || outcome.score > promising_score_)) {
      promising_score_ = outcome.score;
      promising_ = set;
    }
    return std::optional(outcome);
  }

  Status probe() {
    for (size_t i = 0; i < std::min(options_.probes, ranking_.size()) && !best_; ++i) {
      NARROW_TRY(const std::optional<Outcome> outcome, tried({i}));
      if (!outcome) return {};
      result_.alone.emplace_back(i, *outcome);
    }
    auto ranked = result_.alone;
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.second.score > b.second.score; });
    for (size_t i = 0; i < ranked.size(); ++i) ranking_[i] = ranked[i].first;
    return {};
  }

  LayerSet first(size_t count) const {
    return {ranking_.begin(), ranking_.begin() + static_cast<int64_t>(count)};
  }

  Status grow() {
    size_t fails = 0, holds = 0;
    for (size_t count = 1; holds == 0 && fails < ranking_.size();
         count = std::min(2 * count, ranking_.size())) {
      NARROW_TRY(const std::optional<Outcome> outcome, tried(first(count)));
      if (!outcome) return {};
      (outcome->holds ? holds : fails) = count;
    }
    while (holds > fails + 1) {
      const size_t middle = (holds + fails) / 2;
      NARROW_TRY(const std::optional<Outcome> outcome, tried(first(middle)));
      if (!outcome) return {};
      (outcome->holds ? holds : fails) = middle;
    }
    return {};
  }

  /// `set` cut into `parts` of like size, in the order of the ranking.
  static std::vector<LayerSet> cut(const LayerSet& set, size_t parts) {
    std::vector<LayerSet> cuts;
    for (size_t p = 0; p < parts; ++p)
      cuts.emplace_back(set.begin() + static_cast<int64_t>(p * set.size() / parts),
                        set.begin() + static_cast<int64_t>((p + 1) * set.size() / parts));
    return cuts;
  }

  static LayerSet without(const LayerSet& set, const LayerSet& part) {
    LayerSet rest;
    for (const size_t layer : set)
      if (std::find(part.begin(), part.end(), layer) == part.end()) rest.push_back(layer);
    return rest;
  }

  Status shrink() {
    LayerSet set;
    for (const size_t layer : ranking_)
      if (std::find(best_->begin(), best_->end(), layer) != best_->end()) set.push_back(layer);
    size_t parts = 2;
    while (set.size() >= 2) {
      parts = std::min(parts, set.size());
      std::optional<LayerSet> smaller;
      std::vector<LayerSet> pieces = cut(set, parts);
      std::reverse(pieces.begin(), pieces.end());  // the least likely culprits are spared first
      for (const LayerSet& piece : pieces) {
        const LayerSet candidate = without(set, piece);
        NARROW_TRY(const std::optional<Outcome> outcome, tried(candidate));
        if (!outcome) return {};
        if (!outcome->holds) continue;
        smaller = candidate;
        break;
      }
      if (smaller) {
        set = *smaller;
        parts = std::max<size_t>(parts - 1, 2);
      } else if (parts == set.size()) {
        break;
      } else {
        parts = std::min(2 * parts, set.size());
      }
    }
    std::sort(set.begin(), set.end());
    best_ = set;
    result_.minimal = true;
    return {};
  }

  const SetTrial& trial_;
  const CulpritOptions& options_;
  LayerSet ranking_;
  std::map<LayerSet, Outcome> known_;
  std::optional<LayerSet> best_;  // the smallest that holds
  LayerSet promising_;            // of those that do not
  double promising_score_ = 0;
  Culprits result_;
};

}  // namespace

Result<Culprits> find_culprits(size_t layers, const SetTrial& trial, const CulpritOptions& options) {
  return Search(layers, trial, options).run();
}

}  // namespace narrow::search
