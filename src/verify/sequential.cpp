#include "verify/sequential.h"

#include <algorithm>
#include <cmath>

namespace narrow::verify {
namespace {

/// Shares of the money that are bet: 0.99, 0.70, 0.50, ... 0.0055. The more a build changes answers, the
/// smaller the best share is; most builds change few, so large shares get more of the money.
constexpr int kShares = 16;
double share_bet(int j) { return 0.99 * std::pow(2.0, -0.5 * j); }

const std::vector<double>& log_start() {
  static const std::vector<double> start = [] {
    std::vector<double> weights;
    double sum = 0;
    for (int j = 0; j < kShares; ++j) sum += weights.emplace_back(std::pow(j + 1.0, -1.5));
    for (double& w : weights) w = std::log(w / sum);
    return weights;
  }();
  return start;
}

double log_sum(const std::vector<double>& logs) {
  const double top = *std::max_element(logs.begin(), logs.end());
  double sum = 0;
  for (const double x : logs) sum += std::exp(x - top);
  return top + std::log(sum);
}

/// The largest bound of numbers <= high that is not refuted; numbers may be given negated for the other side.
double upper_end(std::span<const double> numbers, double sign, double low, double high, double alpha) {
  double open = low, refuted = high;
  const auto is_refuted = [&](double bound) {
    Bet bet(bound, high);
    for (const double x : numbers) bet.add(sign * x);
    return bet.log_money() >= -std::log(alpha);
  };
  for (int halved = 0; halved < 20; ++halved) {
    const double middle = 0.5 * (open + refuted);
    (is_refuted(middle) ? refuted : open) = middle;
  }
  return refuted;
}

}  // namespace

Bet::Bet(double bound, double high) : bound_(bound), high_(high), log_each_(log_start()) {}

void Bet::add(double x) {
  // Bounds outside the numbers' range are decided before any bet: nothing can be won or lost.
  const double gain = high_ > bound_ ? (bound_ - x) / (high_ - bound_) : 0;
  for (int j = 0; j < kShares; ++j)
    log_each_[static_cast<size_t>(j)] += std::log1p(std::max(share_bet(j) * gain, -0.99));
  most_ = std::max(most_, log_money());
}

double Bet::log_money() const { return log_sum(log_each_); }

Interval betting_interval(std::span<const double> numbers, double low, double high, double alpha) {
  return {-upper_end(numbers, -1, -high, -low, alpha), upper_end(numbers, 1, low, high, alpha)};
}

GateResult::Verdict verdict_of(const Evidence& evidence, double alpha) {
  if (evidence.pass_p <= alpha) return GateResult::Verdict::passed;
  const bool failed = evidence.fail_p <= kSequentialError && evidence.pass_p > kSequentialError;
  return failed ? GateResult::Verdict::failed : GateResult::Verdict::inconclusive;
}

Result<SequentialGate> SequentialGate::create(const Gate& gate, double alpha) {
  const bool counts = gate.metric == "top1" || gate.metric == "top5" || gate.metric == "agreement" ||
                      gate.metric == "margin_halved";
  if (!counts)
    return Error{.code = Code::usage,
                 .subject = "gate '" + gate.text + "' with --proof sequential",
                 .expected = "a share of samples: top1, top5, agreement or margin_halved",
                 .got = "'" + gate.metric + "'",
                 .hint = "--proof ci decides it, on all samples"};
  // A relative drop of r % is a mean of FP32's (1 - r / 100) minus the build's of 0.
  const double bound = gate.relative() ? 0 : gate.bound / 100, high = 1,
               low = gate.form == Gate::Form::value ? 0 : -1;
  if (bound <= low || bound >= high ||
      (gate.relative() && (gate.form != Gate::Form::drop || gate.bound < 0 || gate.bound > 100)))
    return Error{.code = Code::usage,
                 .subject = "gate '" + gate.text + "' with --proof sequential",
                 .expected = gate.form == Gate::Form::value
                                 ? "a bound between 0 and 100, neither included"
                                 : "a change in pp between -100 and 100, or a drop of 0 to 100 %",
                 .got = std::to_string(gate.bound)};
  return SequentialGate(gate, alpha, high, bound);
}

double SequentialGate::number(const SampleScore& build, const SampleScore& reference) const {
  const auto share = [&](const SampleScore& s) {
    const auto of = [](int64_t part, int64_t all) {
      return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0;
    };
    if (gate_.metric == "top1") return s.top1 ? 1.0 : 0.0;
    if (gate_.metric == "top5") return s.top5 ? 1.0 : 0.0;
    return gate_.metric == "agreement" ? of(s.agree, s.rows) : of(s.halved, s.margin_rows);
  };
  if (gate_.form == Gate::Form::value) return share(build);
  const double sign = gate_.form == Gate::Form::drop ? 1 : -1,
               kept = gate_.relative() ? 1 - sign * gate_.bound / 100 : 1;
  return sign * (kept * share(reference) - share(build));
}

void SequentialGate::add(std::span<const SampleScore> build, std::span<const SampleScore> reference) {
  double sum = 0;
  for (size_t i = 0; i < build.size(); ++i) sum += number(build[i], reference[i]);
  const double x = sum / static_cast<double>(build.size());
  numbers_.push_back(x);
  below_.add(x), above_.add(-x);
}

Evidence SequentialGate::evidence() const {
  const bool less = gate_.op == Gate::Op::le || gate_.op == Gate::Op::lt;
  // What once was refuted stays so (Ville): the most money there ever was is the evidence.
  const double below = std::min(1.0, std::exp(-below_.most())),
               above = std::min(1.0, std::exp(-above_.most()));
  return less ? Evidence{below, above} : Evidence{above, below};
}

GateResult SequentialGate::result(GateResult measured, double alpha) const {
  const double unit = gate_.relative() ? 0 : 100;
  measured.verdict = verdict_of(evidence(), alpha);
  if (measured.verdict == GateResult::Verdict::failed) alpha = kSequentialError;
  measured.interval.reset();
  if (unit > 0) {  // of a relative change no mean is at hand
    const Interval mean = betting_interval(numbers_, low(), high_, alpha);
    measured.interval = Interval{unit * mean.low, unit * mean.high};
  }
  measured.level = 1 - 2 * alpha;
  measured.p = evidence().pass_p;
  measured.more_samples = 0;
  return measured;
}

}  // namespace narrow::verify
