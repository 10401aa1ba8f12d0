#include "calib/choose_methods.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "numerics/quantization.h"
#include "runtime/session.h"
#include "runtime/states.h"

namespace narrow::calib {
namespace {

constexpr std::array kTried = {Method::mse, Method::minmax, Method::percentile, Method::entropy,
                               Method::moving_average};

/// Rounds one value to integers wherever it is read.
class Rounded final : public runtime::Observer {
 public:
  Rounded(std::string value, AffineParameters affine) : value_(std::move(value)), affine_(affine) {}

  void before(const ir::Node&, std::span<const runtime::ValueView> inputs) override {
    for (const runtime::ValueView& view : inputs) {
      const std::string& origin = view.value->origin.empty() ? view.value->name : view.value->origin;
      if (origin != value_ || view.value->type.dtype != DType::f32) continue;
      // Rounding what is rounded already changes nothing, so a value with many readers may be met many times.
      view.for_each_run([&](float* x, int64_t n) {
        for (int64_t i = 0; i < n; ++i)
          x[i] = dequantize(quantize(x[i], affine_.scale, affine_.zero_point, kRangeU8), affine_.scale,
                            affine_.zero_point);
      });
    }
  }

 private:
  std::string value_;
  AffineParameters affine_;
};

struct Candidate {
  Method method;
  Range range;
};

bool alike(const Range& a, const Range& b) {
  const double width = std::max(static_cast<double>(a.high) - static_cast<double>(a.low), 1e-30);
  return std::fabs(static_cast<double>(a.low) - static_cast<double>(b.low)) < 1e-3 * width &&
         std::fabs(static_cast<double>(a.high) - static_cast<double>(b.high)) < 1e-3 * width;
}

std::vector<Candidate> candidates_for(const Profile& profile, const std::string& value,
                                      RangeOptions options) {
  std::vector<Candidate> list;
  for (const Method method : kTried) {
    options.method = method;
    const Range range = range_of(profile, value, options);
    if (std::none_of(list.begin(), list.end(), [&](const Candidate& c) { return alike(c.range, range); }))
      list.push_back({method, range});
  }
  return list;
}

class Chooser {
 public:
  Chooser(runtime::Session session, const ChooseOptions& options)
      : session_(std::move(session)), options_(options) {}

  Status read(const data::Dataset& dataset, ThreadPool& pool) {
    const int64_t batch = dataset.batch_of(std::min(options_.batch, dataset.size())),
                  batches = std::max<int64_t>(1, std::min(options_.samples, dataset.size()) / batch),
                  available = std::max<int64_t>(1, dataset.size() / batch);
    const bool sequence = !dataset.info().states.empty();
    NARROW_TRY(runtime::CarriedStates states,
               runtime::CarriedStates::create(dataset.info().states, session_.interface()));
    for (int64_t b = 0; b < batches; ++b) {
      const int64_t first = sequence ? b * batch : b * available / batches * batch;
      NARROW_TRY(const data::Batch sample,
                 dataset.read(first, std::min(batch, dataset.size() - first), pool));
      inputs_.push_back(states.with(sample.inputs));
      NARROW_TRY(TensorMap outputs, session_.run(inputs_.back()));
      states.take(outputs);
      outputs_.push_back(std::move(outputs));
    }
    return {};
  }

  Result<Method> choose(const Profile& profile, const std::string& value) {
    const std::vector<Candidate> candidates = candidates_for(profile, value, options_.ranges);
    if (candidates.size() == 1) return candidates.front().method;
    double least = std::numeric_limits<double>::infinity();
    Method best = candidates.front().method;
    for (const Candidate& candidate : candidates) {
      NARROW_TRY(const double error, error_with(value, candidate.range));
      if (error < least) least = error, best = candidate.method;
    }
    return best;
  }

 private:
  Result<double> error_with(const std::string& value, Range range) {
    Rounded rounded(value, affine_from_range(range.low, range.high, kRangeU8));
    double error = 0;
    for (size_t b = 0; b < inputs_.size(); ++b) {
      NARROW_TRY(const TensorMap outputs, session_.run(inputs_[b], &rounded));
      for (const auto& [name, wanted] : outputs_[b]) error += relative_error(outputs.at(name), wanted);
    }
    return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }

  static double relative_error(const Tensor& got, const Tensor& wanted) {
    if (!is_float(wanted.dtype()) || got.shape() != wanted.shape()) return 0;
    const std::vector<float> a = to_floats(got), b = to_floats(wanted);
    double error = 0, power = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      if (!std::isfinite(b[i])) continue;
      const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      error += d * d;
      power += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    return power > 0 ? error / power : error;
  }

  runtime::Session session_;
  const ChooseOptions& options_;
  std::vector<TensorMap> inputs_, outputs_;  // FP32's, per batch
};

}  // namespace

Result<std::map<std::string, Method>> choose_methods(const ir::Graph& graph, const Profile& profile,
                                                     const std::set<std::string>& values,
                                                     const data::Dataset& dataset,
                                                     std::shared_ptr<ThreadPool> pool,
                                                     const ChooseOptions& options, const Progress& progress) {
  runtime::SessionOptions session_options;
  session_options.observe_all = true;
  NARROW_TRY(runtime::Session session, runtime::Session::create(graph, pool, session_options));
  Chooser chooser(std::move(session), options);
  NARROW_DO(chooser.read(dataset, *pool));
  std::map<std::string, Method> chosen;
  for (const std::string& value : values) {
    report(progress, "choose ranges", static_cast<int64_t>(chosen.size()),
           static_cast<int64_t>(values.size()));
    NARROW_TRY(chosen[value], chooser.choose(profile, value));
  }
  report(progress, "choose ranges", static_cast<int64_t>(values.size()), static_cast<int64_t>(values.size()));
  return chosen;
}

}  // namespace narrow::calib
