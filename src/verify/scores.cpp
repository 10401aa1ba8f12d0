#include "verify/scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace narrow::verify {
namespace {

/// The lowest index of the largest; -1, no answer, when a NaN is among them.
int64_t argmax(std::span<const float> row) {
  if (std::any_of(row.begin(), row.end(), [](float x) { return std::isnan(x); })) return -1;
  return std::max_element(row.begin(), row.end()) - row.begin();
}

/// Whether `label` is among the five largest; ties count by lowest index first. A NaN counts before every
/// number and is never right.
bool in_top5(std::span<const float> row, int64_t label) {
  const float mine = row[static_cast<size_t>(label)];
  if (std::isnan(mine)) return false;
  int64_t before = 0;
  for (size_t i = 0; i < row.size(); ++i)
    if (!(row[i] <= mine) || (row[i] == mine && static_cast<int64_t>(i) < label)) ++before;
  return before < 5;
}

double log_sum_exp(std::span<const float> row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float x : row) sum += std::exp(x - top);
  return top + std::log(sum);
}

/// A row that already is a distribution: in [0, 1], summing to 1.
bool is_distribution(std::span<const float> row) {
  double sum = 0;
  for (const float x : row) {
    if (!(x >= 0 && x <= 1.0001F)) return false;
    sum += x;
  }
  return std::fabs(sum - 1) < 1e-2;
}

double kl_divergence(std::span<const float> p, std::span<const float> q) {
  double sum = 0;
  if (is_distribution(p)) {
    constexpr double kFloor = 1e-12;
    for (size_t i = 0; i < p.size(); ++i)
      if (p[i] > 0) sum += p[i] * std::log(std::max<double>(p[i], kFloor) / std::max<double>(q[i], kFloor));
    return sum < 0 ? 0 : sum;  // NaN stays NaN
  }
  const double p_norm = log_sum_exp(p), q_norm = log_sum_exp(q);
  for (size_t i = 0; i < p.size(); ++i) {
    const double log_p = p[i] - p_norm, share = std::exp(log_p);
    if (share != 0) sum += share * (log_p - (q[i] - q_norm));  // a class masked with -Inf adds nothing
  }
  return sum < 0 ? 0 : sum;
}

Error mismatch(const std::string& output, std::string expected, std::string got) {
  return {.code = Code::invalid_data,
          .subject = "output '" + output + "'",
          .expected = std::move(expected),
          .got = std::move(got)};
}

std::span<const float> sample_of(const std::vector<float>& values, int64_t i, int64_t count) {
  const size_t size = values.size() / static_cast<size_t>(count);
  return std::span(values).subspan(static_cast<size_t>(i) * size, size);
}

void score_distance(std::span<const float> actual, std::span<const float> reference, SampleScore& score) {
  for (size_t k = 0; k < actual.size(); ++k) {
    const double r = reference[k], a = actual[k];
    score.signal += r * r;
    score.power += a * a;
    score.product += r * a;
    score.noise += (a - r) * (a - r);
  }
}

/// How far class `at` lies above the largest of the others.
double margin_of(std::span<const float> row, size_t at) {
  double next = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < row.size(); ++i)
    if (i != at && !(row[i] <= next)) next = row[i];
  return row[at] - next;
}

void score_margin(std::span<const float> actual, std::span<const float> reference, int64_t answer,
                  SampleScore& score) {
  if (answer < 0) return;
  const double wanted = margin_of(reference, static_cast<size_t>(answer)),
               given = margin_of(actual, static_cast<size_t>(answer));
  if (!std::isfinite(wanted)) return;
  ++score.margin_rows;
  score.margin += given;
  score.halved += given >= wanted / 2 ? 0 : 1;
}

/// Rows of classes: [N,C], or [N,T,C] read as T rows a sample.
void score_rows(std::span<const float> actual, std::span<const float> reference, int64_t classes,
                SampleScore& score) {
  for (size_t at = 0; at + static_cast<size_t>(classes) <= actual.size();
       at += static_cast<size_t>(classes)) {
    const auto a = actual.subspan(at, static_cast<size_t>(classes)),
               r = reference.subspan(at, static_cast<size_t>(classes));
    const int64_t answer = argmax(a), wanted = argmax(r);
    score.agree += answer >= 0 && answer == wanted ? 1 : 0;
    score_margin(a, r, wanted, score);
    score.kld += kl_divergence(r, a);
    ++score.rows;
  }
}

Status score_label(const std::string& output, std::span<const float> row, int64_t label, SampleScore& score) {
  if (label >= static_cast<int64_t>(row.size()))
    return mismatch(output, fmt::format("labels below {} (its classes)", row.size()),
                    fmt::format("label {}", label));
  score.labelled = true;
  score.label = label;
  score.answer = argmax(row);
  score.top1 = score.answer == label;
  score.top5 = in_top5(row, label);
  return {};
}

/// Each position predicts the token after it.
Status score_tokens(const std::string& output, std::span<const float> logits, std::span<const int64_t> tokens,
                    SampleScore& score) {
  const size_t vocabulary = logits.size() / tokens.size();
  for (size_t t = 0; t + 1 < tokens.size(); ++t) {
    const auto row = logits.subspan(t * vocabulary, vocabulary);
    const int64_t next = tokens[t + 1];
    if (next < 0 || next >= static_cast<int64_t>(vocabulary))
      return mismatch(output, fmt::format("tokens below {}", vocabulary), fmt::format("token {}", next));
    score.nll += log_sum_exp(row) - row[static_cast<size_t>(next)];
    ++score.tokens;
  }
  return {};
}

Status score_target(const std::string& name, const Tensor& target, const TensorMap& outputs, int64_t i,
                    int64_t count, SampleScore& score) {
  const auto it = outputs.find(name);
  if (it == outputs.end()) return mismatch(name, "an output with the target's name", "none");
  if (it->second.elements() != target.elements())
    return mismatch(name, "as many elements as the target, " + to_string(target.shape()),
                    to_string(it->second.shape()));
  const std::vector<float> wanted = to_floats(target), given = to_floats(it->second);
  const auto w = sample_of(wanted, i, count), g = sample_of(given, i, count);
  for (size_t k = 0; k < w.size(); ++k) {
    const double d = static_cast<double>(g[k]) - w[k];
    score.abs_error += std::fabs(d);
    score.square_error += d * d;
  }
  score.targets += static_cast<int64_t>(w.size());
  return {};
}

/// The rows, labels and tokens of one sample's first output.
Status score_answer(const ScoreSpec& spec, const data::Batch& batch, const Tensor& actual,
                    std::span<const float> mine, std::span<const float> theirs, int64_t i,
                    SampleScore& score) {
  const std::string& name = spec.first_output;
  const int64_t rank = actual.rank(), classes = rank > 0 ? actual.shape().back() : 1;
  if ((rank == 2 || rank == 3) && classes > 1) score_rows(mine, theirs, classes, score);
  if (!batch.labels.empty()) NARROW_DO(score_label(name, mine, batch.labels[static_cast<size_t>(i)], score));
  if (spec.data.next_token.empty()) return {};
  const std::vector<int64_t> tokens = to_ints(batch.inputs.at(spec.data.next_token));
  const size_t length = tokens.size() / static_cast<size_t>(batch.count);
  if (length == 0 || mine.size() % length != 0)
    return mismatch(name, "a row of logits per token", to_string(actual.shape()));
  return score_tokens(name, mine, std::span(tokens).subspan(static_cast<size_t>(i) * length, length), score);
}

/// An output whose rows depend on the data (the boxes a NonMaxSuppression left), of as many rows as each
/// build found: what one of the two lacks counts as zeros there. It belongs to no sample; the first has it.
void score_loose_rows(std::vector<float> actual, std::vector<float> reference, SampleScore& score) {
  actual.resize(std::max(actual.size(), reference.size()));
  reference.resize(actual.size());
  score_distance(actual, reference, score);
}

/// Distances are those of numbers: class indices and masks count only where a model answers nothing else.
bool has_numbers(const ScoreSpec& spec, const TensorMap& reference) {
  return std::any_of(spec.outputs.begin(), spec.outputs.end(),
                     [&](const std::string& name) { return is_float(reference.at(name).dtype()); });
}

}  // namespace

Status score_batch(const ScoreSpec& spec, const data::Batch& batch, const TensorMap& outputs,
                   const TensorMap& reference, std::vector<SampleScore>& scores) {
  const int64_t n = batch.count;
  const size_t first_score = scores.size();
  const bool numbers = has_numbers(spec, reference);
  scores.resize(first_score + static_cast<size_t>(n));
  for (const std::string& name : spec.outputs) {
    const Tensor &actual = outputs.at(name), &wanted = reference.at(name);
    const bool measured = is_float(wanted.dtype()) || !numbers, first = name == spec.first_output;
    std::vector<float> a = to_floats(actual), r = to_floats(wanted);
    if (actual.shape() != wanted.shape() || actual.elements() % n != 0) {
      if (first && (!batch.labels.empty() || !spec.data.next_token.empty()))
        return mismatch(
            name,
            fmt::format("the shape {} of the FP32 answer, for {} samples", to_string(wanted.shape()), n),
            to_string(actual.shape()));
      if (measured) score_loose_rows(std::move(a), std::move(r), scores[first_score]);
      continue;
    }
    for (int64_t i = 0; i < n; ++i) {
      SampleScore& score = scores[first_score + static_cast<size_t>(i)];
      const auto mine = sample_of(a, i, n), theirs = sample_of(r, i, n);
      if (measured) score_distance(mine, theirs, score);
      if (first) NARROW_DO(score_answer(spec, batch, actual, mine, theirs, i, score));
    }
  }
  for (const auto& [name, target] : batch.targets)
    for (int64_t i = 0; i < n; ++i)
      NARROW_DO(score_target(name, target, outputs, i, n, scores[first_score + static_cast<size_t>(i)]));
  return {};
}

}  // namespace narrow::verify
