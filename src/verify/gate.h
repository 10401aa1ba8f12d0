// Gates: METRIC[.drop|.rise] OP VALUE[UNIT], and whether a build passes them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "verify/figures.h"

namespace narrow::verify {

/// What decides a gate: the measured value; its whole interval; likewise, looked at again and again while
/// samples come in (sequential.h).
enum class Proof : uint8_t { point, ci, sequential };
const char* to_string(Proof proof);
std::optional<Proof> parse_proof(std::string_view name);

struct Gate {
  std::string text;    // as given
  std::string metric;  // a figure, or p50 p90 p99 size speedup metric
  enum class Form : uint8_t { value, drop, rise } form = Form::value;
  enum class Op : uint8_t { le, lt, ge, gt } op = Op::le;
  double bound = 0;
  std::string unit;  // pp % dB ms x or empty
  bool relative() const { return unit == "%" && form != Form::value; }
};

/// Error usage: what part of the expression is wrong, and the forms there are.
Result<Gate> parse_gate(std::string_view text);

/// What gates that are not about answers speak of; absent: not measured.
struct Measured {
  std::optional<double> p50_ms, p90_ms, p99_ms, size_ratio, speedup;
  std::optional<double> custom;  // --metric-cmd, and its FP32 value
  std::optional<double> custom_reference;
};

struct GateResult {
  Gate gate;
  enum class Verdict : uint8_t { passed, failed, inconclusive } verdict = Verdict::passed;
  double value = 0;                  // in the gate's unit
  std::optional<Interval> interval;  // likewise, of this level
  double level = 0.95;
  /// One-sided: how probable figures as good as these are when the bound is just missed.
  std::optional<double> p;
  int64_t more_samples =
      0;               // that would settle an interval on both sides of the bound; 0: none needed or unknown
  std::string reason;  // "top1.drop 0.86 pp > 0.5 pp"
};

/// Whether the gate speaks of answers, not of speed or size.
bool is_about_answers(const Gate& gate);
/// "top1.drop".
std::string name_of(const Gate& gate);

/// `level`: of the interval that decides with Proof::ci. Error invalid_argument when the gate cannot be
/// computed from what is there: never a pass.
Result<GateResult> check_gate(const Gate& gate, const Figures& figures, const Measured& measured, Proof proof,
                              double level = 0.95);
Json to_json(const GateResult& result);

}  // namespace narrow::verify
