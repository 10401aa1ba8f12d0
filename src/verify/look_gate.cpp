#include "verify/look_gate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace narrow::verify {
namespace {

/// With four looks and 25 builds p must come down to 0.025 / 100: one of these, before it is corrected.
constexpr int kResamples = 4000;

double share_below(std::span<const double> sorted, double x) {
  const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), x);
  const double below = static_cast<double>(first - sorted.begin()) + 0.5 * static_cast<double>(last - first);
  return (0.5 + below) / (1 + static_cast<double>(sorted.size()));  // never 0 or 1
}

/// Phi^-1 of the share below x. Beyond all resampled values it goes on in proportion to the distance from the
/// estimate: their number would limit what a bound far away can show.
double normal_score(std::span<const double> sorted, double estimate, double x) {
  const double score = normal_quantile(share_below(sorted, x)),
               end = x > estimate ? sorted.back() : sorted.front(), reach = (x - estimate) / (end - estimate);
  return end != estimate && std::isfinite(reach) && reach > 1 ? score * reach : score;
}

/// What the gate is about, a figure or its change.
double estimate_of(const Gate& gate, const Figures& figures) {
  const Figure& f = figures.by_name.at(gate.metric);
  return gate.form == Gate::Form::value ? f.value : f.change;
}

/// sum d^3 / (6 (sum d^2)^1.5), d by how much the estimate moves when one of a hundred parts of the samples
/// is left out (grouped jackknife); 0 where it does not move.
double acceleration_of(const Gate& gate, std::span<const SampleScore> build,
                       std::span<const SampleScore> reference) {
  const size_t n = build.size(), groups = std::min<size_t>(n, 100);
  std::vector<double> left;
  for (size_t g = 0; g < groups; ++g) {
    std::vector<SampleScore> rest, reference_rest;
    const auto copy = [&](std::span<const SampleScore> from, std::vector<SampleScore>& to) {
      to.assign(from.begin(), from.begin() + static_cast<int64_t>(g * n / groups));
      to.insert(to.end(), from.begin() + static_cast<int64_t>((g + 1) * n / groups), from.end());
    };
    copy(build, rest), copy(reference, reference_rest);
    left.push_back(estimate_of(
        gate, make_figures(rest, reference_rest, {.seed = 1, .resamples = 0, .only = gate.metric})));
  }
  const double mean = std::accumulate(left.begin(), left.end(), 0.0) / static_cast<double>(groups);
  double cubes = 0, squares = 0;
  for (const double x : left) cubes += std::pow(mean - x, 3), squares += (mean - x) * (mean - x);
  const double a = cubes / (6 * std::pow(squares, 1.5));
  return std::isfinite(a) ? a : 0;
}

/// Of one look alone. A figure that cannot be computed is no evidence; check_gate() says so in the end.
Evidence evidence_of(const Gate& gate, const Figures& figures, std::span<const SampleScore> build,
                     std::span<const SampleScore> reference) {
  const auto found = figures.by_name.find(gate.metric);
  if (found == figures.by_name.end()) return {};
  const Figure& figure = found->second;
  const double estimate = estimate_of(gate, figures);
  // A NaN or an infinity stays in every mean that has it.
  if (!std::isfinite(estimate)) return {.pass_p = 1, .fail_p = 0};
  const bool change = gate.form != Gate::Form::value;
  const std::vector<double>& resampled = change ? figure.resampled_change : figure.resampled;
  // Where no sample differs resampling knows of no other: no evidence (f1, as with Proof::ci).
  if (resampled.empty() || (gate.metric == "f1" && change && !(resampled.front() < resampled.back())))
    return {};
  const double sign = gate.form == Gate::Form::drop ? -1 : 1,
               unit = gate.relative() ? std::fabs(figure.reference.value_or(1)) / 100 : 1,
               bound = sign * gate.bound * unit;
  const Evidence below = corrected_p(resampled, estimate, acceleration_of(gate, build, reference), bound);
  const bool less = (gate.op == Gate::Op::le || gate.op == Gate::Op::lt) == (sign > 0);
  return less ? below : Evidence{.pass_p = below.fail_p, .fail_p = below.pass_p};
}

}  // namespace

Evidence corrected_p(std::span<const double> resampled, double estimate, double acceleration, double bound) {
  const double z0 = normal_quantile(share_below(resampled, estimate)),
               w = normal_score(resampled, estimate, bound) - z0, slope = 1 + acceleration * w;
  // Beyond the pole the correction says nothing: no evidence on that side.
  if (!(slope > 0)) return {};
  const double z = w / slope - z0;
  return {.pass_p = normal_cdf(-z), .fail_p = normal_cdf(z)};
}

std::vector<int64_t> look_sizes(int64_t all) {
  constexpr int64_t kFewest = 50;
  std::vector<int64_t> sizes;
  for (const int64_t part : {64, 16, 4})
    if (const int64_t size = (all + part - 1) / part; size >= kFewest) sizes.push_back(size);
  sizes.push_back(all);
  return sizes;
}

Result<LookGate> LookGate::create(const Gate& gate, int64_t units, uint64_t seed) {
  if (gate.metric == "metric")
    return Error{.code = Code::usage,
                 .subject = "gate '" + gate.text + "' with --proof sequential",
                 .expected = "a figure that samples are resampled for",
                 .got = "the number of a program",
                 .hint = "--proof point measures it on all samples"};
  return LookGate(gate, look_sizes(units), seed);
}

void LookGate::add(std::span<const SampleScore> build, std::span<const SampleScore> reference,
                   int64_t units) {
  if (taken_ == looks_.size() || units < looks_[taken_]) return;
  ++taken_;
  const Figures figures =
      make_figures(build, reference, {.seed = seed_, .resamples = kResamples, .only = gate_.metric});
  const Evidence now = evidence_of(gate_, figures, build, reference);
  const auto looks = static_cast<double>(looks_.size());
  evidence_.pass_p = std::min(evidence_.pass_p, looks * now.pass_p);
  evidence_.fail_p = std::min(evidence_.fail_p, looks * now.fail_p);
}

GateResult LookGate::result(GateResult measured, double alpha) const {
  measured.p = evidence_.pass_p;
  measured.verdict = verdict_of(evidence_, alpha);
  measured.more_samples = 0;
  return measured;
}

}  // namespace narrow::verify
