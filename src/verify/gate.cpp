#include "verify/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace narrow::verify {
namespace {

constexpr std::array kShares = {"top1", "top5", "f1", "agreement", "margin_halved"};
constexpr std::array kErrors = {"perplexity", "mae", "rmse", "margin"};
constexpr std::array kTimes = {"p50", "p90", "p99"};

template <size_t N>
bool one_of(const std::string& name, const std::array<const char*, N>& list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

Error bad_gate(std::string_view text, std::string expected, std::string got) {
  return {.code = Code::usage,
          .subject = fmt::format("gate '{}'", text),
          .expected = std::move(expected),
          .got = std::move(got),
          .hint =
              "for example top1.drop<=0.5pp, top1.drop<=1%, perplexity.rise<=1%, sqnr>=20dB, p99<=10ms, "
              "size<=0.3x, speedup>=1.0x"};
}

/// The units a metric in a form may have.
std::vector<std::string> units_for(const Gate& gate) {
  const bool share = one_of(gate.metric, kShares);
  if (gate.form != Gate::Form::value)
    return share ? std::vector<std::string>{"pp", "%"} : std::vector<std::string>{"%", ""};
  if (share) return {"%"};
  if (gate.metric == "sqnr") return {"dB"};
  if (one_of(gate.metric, kTimes)) return {"ms"};
  if (gate.metric == "size" || gate.metric == "speedup") return {"x"};
  return {""};
}

bool is_known(const std::string& metric) {
  return one_of(metric, kShares) || one_of(metric, kErrors) || one_of(metric, kTimes) || metric == "sqnr" ||
         metric == "cosine" || metric == "kld" || metric == "size" || metric == "speedup" ||
         metric == "metric";
}

const char* text_of(Gate::Op op) {
  constexpr std::array kTexts = {"<=", "<", ">=", ">"};
  return kTexts.at(static_cast<size_t>(op));
}

bool holds(Gate::Op op, double value, double bound) {
  switch (op) {
    case Gate::Op::le:
      return value <= bound;
    case Gate::Op::lt:
      return value < bound;
    case Gate::Op::ge:
      return value >= bound;
    case Gate::Op::gt:
      return value > bound;
  }
  return false;
}

}  // namespace

Result<Gate> parse_gate(std::string_view text) {
  std::string compact;
  for (const char c : text)
    if (c != ' ') compact += c;
  Gate gate{.text = std::string(text),
            .metric = {},
            .form = Gate::Form::value,
            .op = Gate::Op::le,
            .bound = 0,
            .unit = {}};
  const size_t at = compact.find_first_of("<>");
  if (at == std::string::npos || at == 0)
    return bad_gate(text, "METRIC[.drop|.rise] OP VALUE[UNIT] with OP one of <= < >= >", "no comparison");
  gate.metric = compact.substr(0, at);
  const bool or_equal = at + 1 < compact.size() && compact[at + 1] == '=';
  gate.op = compact[at] == '<' ? (or_equal ? Gate::Op::le : Gate::Op::lt)
                               : (or_equal ? Gate::Op::ge : Gate::Op::gt);
  for (const auto& [suffix, form] :
       {std::pair{".drop", Gate::Form::drop}, std::pair{".rise", Gate::Form::rise}})
    if (gate.metric.ends_with(suffix)) {
      gate.metric.resize(gate.metric.size() - 5);
      gate.form = form;
      break;
    }
  if (!is_known(gate.metric))
    return bad_gate(
        text,
        "a metric: top1 top5 f1 agreement margin margin_halved perplexity mae rmse kld cosine sqnr "
        "p50 p90 p99 size speedup metric",
        "'" + gate.metric + "'");
  const std::string value = compact.substr(at + (or_equal ? 2 : 1));
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), gate.bound);
  if (error != std::errc() || !std::isfinite(gate.bound))
    return bad_gate(text, "a number after the comparison", "'" + value + "'");
  gate.unit = std::string(end, value.data() + value.size() - end);
  const bool compares =
      one_of(gate.metric, std::array{"kld", "cosine", "sqnr", "agreement", "margin_halved"});
  if (gate.form != Gate::Form::value &&
      (compares || one_of(gate.metric, kTimes) || gate.metric == "size" || gate.metric == "speedup"))
    return bad_gate(text, gate.metric + " without .drop or .rise: it is compared with FP32 already", "one");
  const std::vector<std::string> units = units_for(gate);
  if (std::find(units.begin(), units.end(), gate.unit) == units.end()) {
    std::string choices;
    for (const std::string& u : units)
      choices += (choices.empty() ? "" : " or ") + (u.empty() ? "none" : "'" + u + "'");
    return bad_gate(text, "the unit " + choices, gate.unit.empty() ? "none" : "'" + gate.unit + "'");
  }
  return gate;
}

namespace {

struct Quantity {
  double value = 0;
  std::optional<Interval> interval;
  double deviation = 0;
  std::optional<double> p = {};  // GateResult::p
  bool certain = true;           // false: an interval of no width that knows only of the samples seen
};

bool wants_less(Gate::Op op) { return op == Gate::Op::le || op == Gate::Op::lt; }

/// The share of resampled values on the wrong side of `bound`; the figure itself counts as one of them, so
/// that it is never 0 (Davison & Hinkley, "Bootstrap Methods", 1997, section 4.2).
double share_beyond(std::span<const double> resampled, double bound, bool less) {
  const auto wrong = std::count_if(resampled.begin(), resampled.end(),
                                   [&](double x) { return !(less ? x <= bound : x >= bound); });
  return static_cast<double>(1 + wrong) / static_cast<double>(1 + resampled.size());
}

/// GateResult::p of "the figure (or its change) is not on this side of `bound`", both in the figure's unit.
std::optional<double> p_of(const Figure& f, bool change, double bound, bool less) {
  if (f.is_reference && (change || !f.reference)) return std::nullopt;
  const double side = less ? 1 : -1;
  if (change && f.paired) return normal_cdf(-side * tango_z(*f.paired, -bound / 100));
  if (!change && f.share) return normal_cdf(side * wilson_z(*f.share, bound / 100));
  const std::vector<double>& resampled = change ? f.resampled_change : f.resampled;
  if (resampled.empty()) return std::nullopt;
  return share_beyond(resampled, bound, less);
}

/// The gate's left side from a figure: in its unit, drops positive when the build is worse.
Result<Quantity> from_figure(const Gate& gate, const Figures& figures, double level) {
  const auto it = figures.by_name.find(gate.metric);
  if (it == figures.by_name.end())
    return Error{.code = Code::invalid_argument,
                 .subject = "gate '" + gate.text + "'",
                 .expected = "data that " + gate.metric + " can be computed from",
                 .got = "none",
                 .hint = gate.metric == "perplexity" ? "set next_token in the dataset"
                         : gate.metric == "mae" || gate.metric == "rmse"
                             ? "set targets in the dataset"
                             : "evaluation data with labels (--eval)"};
  const Figure& f = it->second;
  const bool usual = level == 0.95;
  if (gate.form == Gate::Form::value)
    return Quantity{.value = f.value,
                    .interval = usual ? f.interval : interval_of(f, level),
                    .deviation = f.sample_deviation,
                    .p = p_of(f, false, gate.bound, wants_less(gate.op))};
  const double sign = gate.form == Gate::Form::drop ? -1 : 1,
               unit = gate.relative() ? 100 / std::max(std::fabs(f.reference.value_or(1)), 1e-30) : 1;
  const Interval i = usual ? f.change_interval : change_interval_of(f, level);
  // F1's changes are no mean of the samples': where none changed, resampling gives no width to go by.
  const bool certain = gate.metric != "f1" || f.is_reference || i.low < i.high;
  return Quantity{
      .value = sign * f.change * unit,
      .interval = sign < 0 ? Interval{-i.high * unit, -i.low * unit} : Interval{i.low * unit, i.high * unit},
      .deviation = f.sample_deviation * unit,
      .p = p_of(f, true, sign * gate.bound / unit, wants_less(gate.op) == (sign > 0)),
      .certain = certain};
}

Result<Quantity> quantity_of(const Gate& gate, const Figures& figures, const Measured& m, double level) {
  const std::map<std::string, std::optional<double>> measured = {{"p50", m.p50_ms},
                                                                 {"p90", m.p90_ms},
                                                                 {"p99", m.p99_ms},
                                                                 {"size", m.size_ratio},
                                                                 {"speedup", m.speedup}};
  if (const auto it = measured.find(gate.metric); it != measured.end()) {
    if (it->second) return Quantity{*it->second, std::nullopt, 0};
    return Error{.code = Code::invalid_argument,
                 .subject = "gate '" + gate.text + "'",
                 .expected = "a measured " + gate.metric,
                 .got = "none here",
                 .hint = "`narrow build` measures speed and size"};
  }
  if (gate.metric != "metric") return from_figure(gate, figures, level);
  if (!m.custom)
    return Error{.code = Code::invalid_argument,
                 .subject = "gate '" + gate.text + "'",
                 .expected = "--metric-cmd",
                 .got = "none"};
  if (gate.form == Gate::Form::value) return Quantity{*m.custom, std::nullopt, 0};
  const double change =
      (*m.custom - m.custom_reference.value_or(0)) * (gate.form == Gate::Form::drop ? -1 : 1);
  return Quantity{
      gate.relative() ? 100 * change / std::max(std::fabs(m.custom_reference.value_or(1)), 1e-30) : change,
      std::nullopt, 0};
}

}  // namespace

std::string name_of(const Gate& gate) {
  return gate.metric + (gate.form == Gate::Form::drop   ? ".drop"
                        : gate.form == Gate::Form::rise ? ".rise"
                                                        : "");
}

bool is_about_answers(const Gate& gate) {
  return !one_of(gate.metric, kTimes) && gate.metric != "size" && gate.metric != "speedup";
}

namespace {
constexpr std::array kProofs = {"point", "ci", "sequential"};
}
const char* to_string(Proof proof) { return kProofs.at(static_cast<size_t>(proof)); }
std::optional<Proof> parse_proof(std::string_view name) {
  for (size_t i = 0; i < kProofs.size(); ++i)
    if (name == kProofs.at(i)) return static_cast<Proof>(i);
  return std::nullopt;
}

Result<GateResult> check_gate(const Gate& gate, const Figures& figures, const Measured& measured, Proof proof,
                              double level) {
  NARROW_TRY(const Quantity q, quantity_of(gate, figures, measured, level));
  GateResult result{.gate = gate,
                    .verdict = {},
                    .value = q.value,
                    .interval = q.interval,
                    .level = level,
                    .p = q.p,
                    .more_samples = 0,
                    .reason = {}};
  const bool point = holds(gate.op, q.value, gate.bound);
  result.verdict = point ? GateResult::Verdict::passed : GateResult::Verdict::failed;
  const std::string unit = gate.unit.empty() ? "" : " " + gate.unit;
  if (q.interval) {
    const bool low = holds(gate.op, q.interval->low, gate.bound),
               high = holds(gate.op, q.interval->high, gate.bound), open = low != point || high != point;
    if (open) {
      const int64_t needed = samples_to_settle(q.value, q.deviation, gate.bound);
      result.more_samples = std::max<int64_t>(0, needed - figures.samples);
    }
    if (proof != Proof::point && (open || !q.certain)) result.verdict = GateResult::Verdict::inconclusive;
  }
  const char* relation = point                     ? text_of(gate.op)
                         : gate.op == Gate::Op::le ? ">"
                         : gate.op == Gate::Op::lt ? ">="
                         : gate.op == Gate::Op::ge ? "<"
                                                   : "<=";
  result.reason =  // + 0.0: no "-0"
      fmt::format("{} {:.4g}{} {} {:g}{}", name_of(gate), q.value + 0.0, unit, relation, gate.bound, unit);
  return result;
}

Json to_json(const GateResult& r) {
  constexpr std::array kVerdicts = {"passed", "failed", "inconclusive"};
  Json json = {{"gate", r.gate.text},
               {"verdict", kVerdicts.at(static_cast<size_t>(r.verdict))},
               {"value", r.value},
               {"reason", r.reason}};
  if (r.interval) json["interval"] = {r.interval->low, r.interval->high}, json["level"] = r.level;
  if (r.p) json["p"] = *r.p;
  if (r.more_samples > 0) json["more_samples"] = r.more_samples;
  return json;
}

}  // namespace narrow::verify
