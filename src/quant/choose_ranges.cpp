#include "quant/choose_ranges.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "ir/extract.h"
#include "ir/schema.h"
#include "numerics/quantization.h"
#include "passes/pass.h"
#include "quant/range_candidates.h"
#include "quant/range_cells.h"
#include "runtime/reference/reference.h"
#include "runtime/session.h"

namespace narrow::quant {
namespace {

using ir::Value;

/// What a range must err less than that of `mse`, the first: 16 samples tell no finer differences apart.
constexpr double kWorthIt = 0.1;

const std::string& profile_name(const Value* value) {
  return value->origin.empty() ? value->name : value->origin;
}

/// x as the integers of a range bring it back.
Tensor rounded(const Tensor& x, calib::Range range) {
  const AffineParameters affine = affine_from_range(range.low, range.high, kRangeU8);
  Tensor out = x.clone();
  for (float& v : out.mutable_data<float>())
    v = dequantize(quantize(v, affine.scale, affine.zero_point, kRangeU8), affine.scale, affine.zero_point);
  return out;
}

/// x within the ends of a range.
Tensor clipped(const Tensor& x, calib::Range range) {
  Tensor out = x.clone();
  for (float& v : out.mutable_data<float>()) v = std::clamp(v, range.low, range.high);
  return out;
}

double squared_distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  const auto x = a.data<float>(), y = b.data<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += std::isfinite(d) ? d * d : 0;
  }
  return sum;
}

/// Squares of one output's errors, and of the output.
struct ErrorSum {
  double error = 0, power = 0;

  void add(const Tensor& got, const Tensor& wanted, const Tensor& signal) {
    const auto a = got.data<float>(), b = wanted.data<float>(), s = signal.data<float>();
    for (size_t i = 0; i < b.size(); ++i) {
      if (!std::isfinite(b[i]) || !std::isfinite(s[i])) continue;
      const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      error += d * d;
      power += static_cast<double>(s[i]) * static_cast<double>(s[i]);
    }
  }
  double relative() const {
    if (std::isnan(error)) return std::numeric_limits<double>::infinity();
    return power > 0 ? error / power : error;
  }
};

/// The squared errors put into a value, and what of them came out of a cell, relative to its results.
struct Gain {
  double put_in = 0, came_out = 0;
  double gain(double otherwise) const { return put_in > 0 ? came_out / put_in : otherwise; }
};

/// The samples say how much of an error the cell passes on; how large errors are says the distribution of all
/// calibration data. A few samples know little of the rare numbers that a range cuts.
struct PassedOn {
  Gain rounding, clipping;
};

class Chooser {
 public:
  Chooser(const calib::Profile& profile, const ChooseRangesOptions& options, std::shared_ptr<ThreadPool> pool)
      : profile_(profile), options_(options), pool_(std::move(pool)) {}

  Status bind(const ir::Graph& graph, const data::Dataset& dataset) {
    batch_ = dataset.batch_of(std::min(options_.batch, dataset.size()));
    NARROW_TRY(const data::Batch first, dataset.read(0, batch_, *pool_));
    for (const auto& [name, tensor] : first.inputs) shapes_[name] = tensor.shape();
    graph_ = graph.clone();
    NARROW_DO(ir::bind_shapes(graph_, shapes_));
    const passes::Pass steps[] = {*passes::find_pass("fold_constants"),
                                  *passes::find_pass("resolve_auto_pad")};
    NARROW_DO(passes::run_passes(graph_, steps, {.evaluate = runtime::reference::evaluate}));
    NARROW_DO(graph_.sort());
    cells_ = range_cells(graph_);
    for (const Value* value : cells_.values)
      if (value->type.dtype == DType::f32 && profile_.values.contains(profile_name(value)))
        candidates_[value] = range_candidates(profile_, profile_name(value), options_.ranges);
    for (const auto& [value, list] : candidates_) scores_[value].assign(list.size(), 0);
    return {};
  }

  Status read(const data::Dataset& dataset) {
    const int64_t available = std::max<int64_t>(1, dataset.size() / batch_),
                  fit = std::max<int64_t>(1, options_.memory / std::max<int64_t>(1, bytes_of_values())),
                  wanted = std::min({available, fit, std::max<int64_t>(1, options_.samples / batch_)});
    for (int64_t b = 0; b < wanted; ++b) {
      NARROW_TRY(data::Batch batch, dataset.read(b * available / wanted * batch_, batch_, *pool_));
      const bool alike = std::all_of(batch.inputs.begin(), batch.inputs.end(), [&](const auto& input) {
        return shapes_.at(input.first) == input.second.shape();
      });
      if (alike) batches_.push_back(std::move(batch.inputs));
    }
    return {};
  }

  Status run(const Progress& progress) {
    const auto count = static_cast<int64_t>(cells_.cells.size());
    for (int64_t i = 0; i < count; ++i) {
      report(progress, "choose ranges", i, count);
      NARROW_DO(run_cell(cells_.cells[static_cast<size_t>(i)]));
      forget(static_cast<size_t>(i) + 1);
    }
    report(progress, "choose ranges", count, count);
    return {};
  }

  std::map<std::string, ChosenRange> chosen() const {
    std::map<std::string, ChosenRange> found;
    for (const auto& [value, list] : candidates_) {
      const std::vector<double>& scores = scores_.at(value);
      auto best = std::min_element(scores.begin(), scores.end()) - scores.begin();
      if (scores[static_cast<size_t>(best)] > (1 - kWorthIt) * scores[0]) best = 0;
      const RangeCandidate& candidate = list[static_cast<size_t>(best)];
      found[profile_name(value)] = {candidate.method, candidate.range};
    }
    return found;
  }

 private:
  /// Of one batch, were all kept at once: more than ever is.
  int64_t bytes_of_values() const {
    int64_t bytes = 0;
    for (const Value* value : cells_.values)
      if (value->type.is_static()) bytes += elements_of(value->type.shape()) * bytes_of(value->type.dtype);
    return bytes;
  }

  Status run_cell(const RangeCell& cell) {
    const ir::Graph part = ir::extract(graph_, cell.inputs, cell.outputs);
    NARROW_TRY(runtime::Session session, runtime::Session::create(part, pool_));
    std::vector<TensorMap> wanted;
    for (const TensorMap& batch : batches_) {
      NARROW_TRY(TensorMap outputs, session.run(inputs_of(cell, batch)));
      wanted.push_back(std::move(outputs));
    }
    for (const Value* input : cell.inputs)
      if (candidates_.contains(input)) NARROW_DO(score(session, cell, input, wanted));
    for (size_t b = 0; b < batches_.size(); ++b)
      for (auto& [name, tensor] : wanted[b]) batches_[b][name] = std::move(tensor);
    return {};
  }

  static TensorMap inputs_of(const RangeCell& cell, const TensorMap& batch) {
    TensorMap inputs;
    for (const Value* value : cell.inputs) inputs[value->name] = batch.at(value->name);
    return inputs;
  }

  /// Adds what this cell's results lose by each candidate range of `input`.
  Status score(runtime::Session& session, const RangeCell& cell, const Value* input,
               const std::vector<TensorMap>& wanted) {
    const std::vector<RangeCandidate>& list = candidates_.at(input);
    if (list.size() == 1) return {};
    std::vector<PassedOn> passed;
    for (const RangeCandidate& candidate : list) {
      NARROW_TRY(PassedOn one, pass_on(session, cell, input, candidate.range, wanted));
      passed.push_back(one);
    }
    const double standard = standard_clipping_gain(passed);
    const calib::Histogram& histogram = profile_.values.at(profile_name(input)).histogram;
    for (size_t c = 0; c < list.size(); ++c) {
      const calib::SquaredError expected =
          calib::expected_squared_error(histogram, list[c].range, options_.ranges.levels);
      scores_.at(input)[c] += passed[c].rounding.gain(0) * expected.rounded +
                              calib::kClipWeight * passed[c].clipping.gain(standard) * expected.clipped;
    }
    return {};
  }

  /// Where the samples reach beyond none of the ranges an error of clipping passes on like one of rounding.
  static double standard_clipping_gain(const std::vector<PassedOn>& passed) {
    const PassedOn* widest = nullptr;
    for (const PassedOn& one : passed)
      if (one.clipping.put_in > 0 && (widest == nullptr || one.clipping.put_in < widest->clipping.put_in))
        widest = &one;
    return widest != nullptr ? widest->clipping.gain(0) : passed.front().rounding.gain(0);
  }

  Result<PassedOn> pass_on(runtime::Session& session, const RangeCell& cell, const Value* input,
                           calib::Range range, const std::vector<TensorMap>& wanted) {
    std::map<std::string, ErrorSum> rounding, clipping;
    PassedOn passed;
    for (size_t b = 0; b < batches_.size(); ++b) {
      TensorMap inputs = inputs_of(cell, batches_[b]);
      const Tensor x = inputs.at(input->name), cut = clipped(x, range), stored = rounded(x, range);
      passed.clipping.put_in += squared_distance(cut, x);
      passed.rounding.put_in += squared_distance(stored, cut);
      inputs[input->name] = cut;
      NARROW_TRY(const TensorMap y_cut, session.run(inputs));
      inputs[input->name] = stored;
      NARROW_TRY(const TensorMap y_stored, session.run(inputs));
      for (const auto& [name, y] : wanted[b]) {
        clipping[name].add(y_cut.at(name), y, y);
        rounding[name].add(y_stored.at(name), y_cut.at(name), y);
      }
    }
    for (const auto& [name, sum] : clipping) passed.clipping.came_out += sum.relative();
    for (const auto& [name, sum] : rounding) passed.rounding.came_out += sum.relative();
    return passed;
  }

  /// Values that no cell from `next` on reads.
  void forget(size_t next) {
    std::set<std::string> needed;
    for (size_t i = next; i < cells_.cells.size(); ++i)
      for (const Value* value : cells_.cells[i].inputs) needed.insert(value->name);
    for (TensorMap& batch : batches_)
      std::erase_if(batch, [&](const auto& entry) { return !needed.contains(entry.first); });
  }

  const calib::Profile& profile_;
  const ChooseRangesOptions& options_;
  std::shared_ptr<ThreadPool> pool_;
  ir::Graph graph_;  // static shapes, constants folded
  std::map<std::string, Shape> shapes_;
  int64_t batch_ = 1;
  RangeCells cells_;
  std::map<const Value*, std::vector<RangeCandidate>> candidates_;
  std::map<const Value*, std::vector<double>> scores_;
  std::vector<TensorMap> batches_;  // values that are still needed, by name
};

}  // namespace

Result<std::map<std::string, ChosenRange>> choose_ranges(
    const ir::Graph& graph, const calib::Profile& profile, const data::Dataset& dataset,
    std::shared_ptr<ThreadPool> pool, const ChooseRangesOptions& options, const Progress& progress) {
  if (!dataset.info().states.empty())
    return Error{.code = Code::unsupported,
                 .subject = "calibration data",
                 .expected = "samples that stand alone",
                 .got = "states carried from run to run",
                 .hint = ""};
  Chooser chooser(profile, options, std::move(pool));
  NARROW_DO(chooser.bind(graph, dataset));
  NARROW_DO(chooser.read(dataset));
  NARROW_DO(chooser.run(progress));
  return chooser.chosen();
}

}  // namespace narrow::quant
