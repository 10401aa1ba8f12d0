#include "verify/figures.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace narrow::verify {
namespace {

using Scores = std::span<const SampleScore>;
using Drawn = std::span<const int32_t>;

template <class F>
double sum(Scores scores, Drawn drawn, F&& term) {
  double total = 0;
  for (const int32_t i : drawn) total += static_cast<double>(term(scores[static_cast<size_t>(i)]));
  return total;
}

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

/// Macro-averaged F1 over the classes that occur as label or answer.
double macro_f1(Scores scores, Drawn drawn) {
  struct Counts {
    double hit = 0, given = 0, wanted = 0;
  };
  std::map<int64_t, Counts> classes;
  for (const int32_t i : drawn) {
    const SampleScore& s = scores[static_cast<size_t>(i)];
    ++classes[s.label].wanted;
    ++classes[s.answer].given;
    if (s.top1) ++classes[s.label].hit;
  }
  double total = 0;
  for (const auto& [label, c] : classes) total += 2 * c.hit / (c.given + c.wanted);
  return percent(total, static_cast<double>(classes.size()));
}

constexpr double kBestDecibels = 200;
double decibels(double signal, double noise) {
  if (noise == 0) return kBestDecibels;
  const double db = 10 * std::log10(signal / noise);
  return signal == 0 ? 0 : db > kBestDecibels ? kBestDecibels : db;  // NaN stays NaN
}

struct Definition {
  const char* name;
  bool paired;  // has an FP32 value of its own
  bool (*applies)(const SampleScore&);
  double (*value)(Scores, Drawn);
  double (*sample)(const SampleScore&);  // one sample's share, for the deviation of changes
  double none = 0;                       // what FP32 has of a figure that is not paired
  /// Whether a sample is a yes; -1: neither. Null for figures that are no counts of samples.
  int (*counted)(const SampleScore&) = nullptr;
};

const Definition kDefinitions[] = {
    {"top1", true, [](const SampleScore& s) { return s.labelled; },
     [](Scores s, Drawn d) {
       return percent(sum(s, d, [](const SampleScore& x) { return x.top1; }), static_cast<double>(d.size()));
     },
     [](const SampleScore& s) { return s.top1 ? 100.0 : 0.0; }, 0,
     [](const SampleScore& s) { return s.top1 ? 1 : 0; }},
    {"top5", true, [](const SampleScore& s) { return s.labelled; },
     [](Scores s, Drawn d) {
       return percent(sum(s, d, [](const SampleScore& x) { return x.top5; }), static_cast<double>(d.size()));
     },
     [](const SampleScore& s) { return s.top5 ? 100.0 : 0.0; }, 0,
     [](const SampleScore& s) { return s.top5 ? 1 : 0; }},
    {"f1", true, [](const SampleScore& s) { return s.labelled; }, macro_f1,
     [](const SampleScore& s) { return s.top1 ? 100.0 : 0.0; }},
    {"perplexity", true, [](const SampleScore& s) { return s.tokens > 0; },
     [](Scores s, Drawn d) {
       return std::exp(sum(s, d, [](const SampleScore& x) { return x.nll; }) /
                       std::max(1.0, sum(s, d, [](const SampleScore& x) { return x.tokens; })));
     },
     [](const SampleScore& s) {
       return std::exp(s.nll / static_cast<double>(std::max<int64_t>(1, s.tokens)));
     }},
    {"mae", true, [](const SampleScore& s) { return s.targets > 0; },
     [](Scores s, Drawn d) {
       return sum(s, d, [](const SampleScore& x) { return x.abs_error; }) /
              std::max(1.0, sum(s, d, [](const SampleScore& x) { return x.targets; }));
     },
     [](const SampleScore& s) { return s.abs_error / static_cast<double>(std::max<int64_t>(1, s.targets)); }},
    {"rmse", true, [](const SampleScore& s) { return s.targets > 0; },
     [](Scores s, Drawn d) {
       return std::sqrt(sum(s, d, [](const SampleScore& x) { return x.square_error; }) /
                        std::max(1.0, sum(s, d, [](const SampleScore& x) { return x.targets; })));
     },
     [](const SampleScore& s) {
       return std::sqrt(s.square_error / static_cast<double>(std::max<int64_t>(1, s.targets)));
     }},
    {"kld", false, [](const SampleScore& s) { return s.rows > 0; },
     [](Scores s, Drawn d) {
       return sum(s, d, [](const SampleScore& x) { return x.kld; }) /
              std::max(1.0, sum(s, d, [](const SampleScore& x) { return x.rows; }));
     },
     [](const SampleScore& s) { return s.kld / static_cast<double>(std::max<int64_t>(1, s.rows)); }},
    {"agreement", false, [](const SampleScore& s) { return s.rows > 0; },
     [](Scores s, Drawn d) {
       return percent(sum(s, d, [](const SampleScore& x) { return x.agree; }),
                      sum(s, d, [](const SampleScore& x) { return x.rows; }));
     },
     [](const SampleScore& s) { return percent(static_cast<double>(s.agree), static_cast<double>(s.rows)); },
     100, [](const SampleScore& s) { return s.agree == s.rows ? 1
                                            : s.agree == 0    ? 0
                                                              : -1; }},
    {"margin", true, [](const SampleScore& s) { return s.margin_rows > 0; },
     [](Scores s, Drawn d) {
       return sum(s, d, [](const SampleScore& x) { return x.margin; }) /
              std::max(1.0, sum(s, d, [](const SampleScore& x) { return x.margin_rows; }));
     },
     [](const SampleScore& s) {
       return s.margin / static_cast<double>(std::max<int64_t>(1, s.margin_rows));
     }},
    {"margin_halved", false, [](const SampleScore& s) { return s.margin_rows > 0; },
     [](Scores s, Drawn d) {
       return percent(sum(s, d, [](const SampleScore& x) { return x.halved; }),
                      sum(s, d, [](const SampleScore& x) { return x.margin_rows; }));
     },
     [](const SampleScore& s) {
       return percent(static_cast<double>(s.halved), static_cast<double>(s.margin_rows));
     },
     0, [](const SampleScore& s) { return s.halved == s.margin_rows ? 1
                                          : s.halved == 0           ? 0
                                                                    : -1; }},
    {"cosine", false, [](const SampleScore&) { return true; },
     [](Scores s, Drawn d) {
       const double norm = std::sqrt(sum(s, d, [](const SampleScore& x) { return x.signal; }) *
                                     sum(s, d, [](const SampleScore& x) { return x.power; }));
       return norm == 0 ? 1.0 : sum(s, d, [](const SampleScore& x) { return x.product; }) / norm;
     },
     [](const SampleScore& s) {
       return s.signal * s.power == 0 ? 1.0 : s.product / std::sqrt(s.signal * s.power);
     },
     1},
    {"sqnr", false, [](const SampleScore&) { return true; },
     [](Scores s, Drawn d) {
       return decibels(sum(s, d, [](const SampleScore& x) { return x.signal; }),
                       sum(s, d, [](const SampleScore& x) { return x.noise; }));
     },
     [](const SampleScore& s) { return decibels(s.signal, s.noise); }, kBestDecibels},
};

/// Mean and deviation of the per-sample change.
void describe_changes(Scores scores, Scores reference, const Definition& d, Figure& figure) {
  double total = 0, square = 0;
  const auto n = static_cast<double>(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const double change = d.sample(scores[i]) - (d.paired ? d.sample(reference[i]) : d.none);
    total += change;
    square += change * change;
  }
  figure.sample_change = total / n;
  figure.sample_deviation = std::sqrt(std::max(0.0, square / n - total / n * total / n));
}

/// How many samples are a yes, when each is a yes or a no.
std::optional<Share> count(Scores scores, const Definition& d) {
  if (d.counted == nullptr) return std::nullopt;
  Share share{.samples = static_cast<int64_t>(scores.size()), .yes = 0};
  for (const SampleScore& score : scores) {
    const int answer = d.counted(score);
    if (answer < 0) return std::nullopt;
    share.yes += answer;
  }
  return share;
}

PairedCounts count_pairs(Scores scores, Scores reference, const Definition& d) {
  PairedCounts counts{.samples = static_cast<int64_t>(scores.size()), .lost = 0, .gained = 0};
  for (size_t i = 0; i < scores.size(); ++i) {
    const int mine = d.counted(scores[i]), theirs = d.counted(reference[i]);
    counts.lost += theirs > mine ? 1 : 0;
    counts.gained += mine > theirs ? 1 : 0;
  }
  return counts;
}

Figure make_figure(Scores scores, Scores reference, const Definition& d, const FigureOptions& options) {
  const auto n = static_cast<int64_t>(scores.size());
  std::vector<int32_t> everything(scores.size());
  for (size_t i = 0; i < everything.size(); ++i) everything[i] = static_cast<int32_t>(i);
  Figure figure;
  figure.is_reference = scores.data() == reference.data();
  figure.value = d.value(scores, everything);
  if (d.paired) figure.reference = d.value(reference, everything);
  describe_changes(scores, reference, d, figure);
  figure.share = count(scores, d);
  if (!figure.share && (d.paired || !figure.is_reference))
    figure.resampled = resample(
        n, [&](Drawn drawn) { return d.value(scores, drawn); }, options.seed, options.resamples);
  figure.interval = interval_of(figure, 0.95);
  if (!d.paired) return figure;
  figure.change = figure.value - *figure.reference;
  if (d.counted != nullptr)
    figure.paired = count_pairs(scores, reference, d);
  else if (!figure.is_reference)
    figure.resampled_change = resample(
        n, [&](Drawn drawn) { return d.value(scores, drawn) - d.value(reference, drawn); }, options.seed,
        options.resamples);
  figure.change_interval = change_interval_of(figure, 0.95);
  return figure;
}

Interval times(double factor, Interval i) { return {factor * i.low, factor * i.high}; }

}  // namespace

Interval interval_of(const Figure& figure, double level) {
  if (figure.is_reference && !figure.reference) return {figure.value, figure.value};
  return figure.share ? times(100, wilson_interval(*figure.share, level))
                      : percentiles(figure.resampled, level);
}

Interval change_interval_of(const Figure& figure, double level) {
  if (figure.is_reference) return {0, 0};
  if (!figure.paired) return percentiles(figure.resampled_change, level);
  const Interval drop = tango_interval(*figure.paired, level);
  return {-100 * drop.high, -100 * drop.low};
}

int64_t samples_to_detect(const Figure& figure) {
  const double both = normal_quantile(0.975) + normal_quantile(0.8),
               root = both * figure.sample_deviation / std::fabs(figure.sample_change);
  if (!(std::fabs(figure.sample_change) > 0) || !std::isfinite(root)) return 0;
  return std::max<int64_t>(2, static_cast<int64_t>(std::ceil(std::min(root * root, 1e12))));
}

Figures make_figures(Scores scores, Scores reference, uint64_t seed) {
  return make_figures(scores, reference, FigureOptions{.seed = seed});
}

Figures make_figures(Scores scores, Scores reference, const FigureOptions& options) {
  NARROW_CHECK(scores.size() == reference.size());
  Figures figures{.samples = static_cast<int64_t>(scores.size()), .by_name = {}, .mcnemar_p = 1};
  for (const Definition& d : kDefinitions)
    if ((options.only.empty() || options.only == d.name) && !scores.empty() &&
        std::all_of(scores.begin(), scores.end(), d.applies))
      figures.by_name.emplace(d.name, make_figure(scores, reference, d, options));
  int64_t only_reference = 0, only_build = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    only_reference += reference[i].top1 && !scores[i].top1 ? 1 : 0;
    only_build += scores[i].top1 && !reference[i].top1 ? 1 : 0;
  }
  figures.mcnemar_p = mcnemar(only_reference, only_build);
  return figures;
}

const char* unit_of(const std::string& figure) {
  if (figure == "top1" || figure == "top5" || figure == "f1" || figure == "agreement" ||
      figure == "margin_halved")
    return "%";
  return figure == "sqnr" ? "dB" : "";
}

Json to_json(const Figures& figures) {
  Json json = {{"samples", figures.samples}};
  for (const auto& [name, f] : figures.by_name) {
    Json entry = {{"value", f.value}, {"interval", {f.interval.low, f.interval.high}}};
    if (f.reference) {
      entry["fp32"] = *f.reference;
      entry["change"] = f.change;
      entry["change_interval"] = {f.change_interval.low, f.change_interval.high};
    }
    if (f.paired) entry["lost"] = f.paired->lost, entry["gained"] = f.paired->gained;
    if (const int64_t needed = samples_to_detect(f); needed > 0) entry["samples_to_detect"] = needed;
    json[name] = std::move(entry);
  }
  if (figures.by_name.contains("top1")) json["mcnemar_p"] = figures.mcnemar_p;
  return json;
}

}  // namespace narrow::verify
