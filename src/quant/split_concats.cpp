#include "quant/split_concats.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "quant/regions.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Value;

constexpr int64_t kLevels = 256;

/// What was seen of a value, and the range it would have by itself.
struct Seen {
  const calib::Histogram* histogram = nullptr;
  calib::Range range;

  double width() const { return static_cast<double>(range.high) - static_cast<double>(range.low); }
  int64_t count() const { return histogram == nullptr ? 0 : histogram->count(); }
};

double power_of(const calib::Histogram& h) {
  double sum = 0;
  for (int64_t bin = 0; bin < calib::Histogram::kBins; ++bin)
    sum += static_cast<double>(h.bins()[static_cast<size_t>(bin)]) * h.center(bin) * h.center(bin);
  return h.count() > 0 ? sum / static_cast<double>(h.count()) : 0;
}

class Splitter {
 public:
  Splitter(const ir::Graph& graph, const calib::Profile& profile, const calib::RangeOptions& ranges,
           const std::set<std::string>& wide)
      : graph_(graph), profile_(profile), ranges_(ranges), wide_(wide) {}

  SplitConcats run() {
    IntegerRegions regions = integer_regions(graph_, wide_);
    for (const Node* node : graph_.nodes()) {
      if (node->op() != ir::Op::Concat || !regions.nodes.contains(node)) continue;
      const Value* drowned = drowned_input(*node);
      if (drowned == nullptr) continue;
      std::set<std::string> without = wide_;
      without.insert(key_of(*node));
      IntegerRegions split = integer_regions(graph_, without);
      if (is_needed_whole(*node, split) || moves_too_much(regions, split)) continue;
      wide_ = std::move(without);
      regions = std::move(split);
      found_.nodes.insert(key_of(*node));
      found_.notes.push_back(note(*node, *drowned));
    }
    return std::move(found_);
  }

 private:
  Seen seen(const Value* value) const {
    const std::string& name = value->origin.empty() ? value->name : value->origin;
    const auto it = profile_.values.find(name);
    if (it == profile_.values.end() || it->second.histogram.count() == 0) return {};
    return {&it->second.histogram, calib::range_of(profile_, name, ranges_)};
  }

  /// The input that one scale costs most, where it costs too much.
  const Value* drowned_input(const Node& concat) const {
    const Seen whole = seen(concat.output());
    const Value* worst = nullptr;
    double most = kLostShare;
    for (const Value* input : concat.inputs()) {
      const Seen part = seen(input);
      const double power = part.histogram == nullptr ? 0 : power_of(*part.histogram);
      if (whole.histogram == nullptr || !(power > 0)) continue;
      const double step = whole.width() / (kLevels - 1);
      // Below half a step everything becomes 0: step^2 / 12 is more than there is to lose.
      const double shared =
          std::min(power, calib::expected_squared_error(*part.histogram, whole.range, kLevels).clipped +
                              step * step / 12);
      const double own = calib::expected_squared_error(*part.histogram, part.range, kLevels).sum();
      if (shared / power <= most || shared < 4 * own) continue;
      most = shared / power;
      worst = input;
    }
    return worst;
  }

  /// Something behind the Concat is stored over a range like the Concat's own.
  bool is_needed_whole(const Node& concat, const IntegerRegions& split) const {
    constexpr double kAlike = 0.5;
    const double width = seen(concat.output()).width();
    std::vector<const Value*> open{concat.output()};
    std::unordered_set<const Value*> visited;
    while (!open.empty()) {
      const Value* value = open.back();
      open.pop_back();
      if (!visited.insert(value).second) continue;
      if (split.stored.contains(value)) {
        if (seen(value).width() > kAlike * width && !lacks_drowned(concat, value)) return true;
        continue;
      }
      for (const ir::Use& use : value->uses())
        open.insert(open.end(), use.node->outputs().begin(), use.node->outputs().end());
    }
    return false;
  }

  /// `value` has too few elements to hold more than the Concat's other inputs.
  bool lacks_drowned(const Node& concat, const Value* value) const {
    const Value* drowned = drowned_input(concat);
    return seen(value).count() <= seen(concat.output()).count() - seen(drowned).count();
  }

  /// Elements, over the calibration data, of what would be stored in FP32, three bytes more each.
  bool moves_too_much(const IntegerRegions& before, const IntegerRegions& after) const {
    constexpr double kMost = 0.5;
    double stored = 0, wider = 0;
    for (const Value* value : before.stored) {
      stored += static_cast<double>(seen(value).count());
      if (!after.stored.contains(value)) wider += static_cast<double>(seen(value).count());
    }
    return 3 * wider > kMost * stored;
  }

  std::string note(const Node& concat, const Value& drowned) const {
    const double whole = seen(concat.output()).width();
    return fmt::format(
        "{} joins values of different magnitude: '{}' spans {:.3g} of {:.3g}, {:.2g} of {} levels under one "
        "scale; each keeps its own, and they are joined in FP32",
        concat.location(), drowned.name, seen(&drowned).width(), whole,
        seen(&drowned).width() / whole * kLevels, kLevels);
  }

  const ir::Graph& graph_;
  const calib::Profile& profile_;
  const calib::RangeOptions& ranges_;
  std::set<std::string> wide_;
  SplitConcats found_;
};

}  // namespace

SplitConcats split_concats(const ir::Graph& graph, const calib::Profile& profile,
                           const calib::RangeOptions& ranges, const std::set<std::string>& wide) {
  return Splitter(graph, profile, ranges, wide).run();
}

}  // namespace narrow::quant
