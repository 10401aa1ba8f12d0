#include "calib/check/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "calib/check/noise.h"

namespace narrow::calib {
namespace {

double entry(const std::vector<float>& list, size_t channel, double none) {
  return list.empty() ? none : static_cast<double>(list[list.size() == 1 ? 0 : channel]);
}

/// value = (pixel * scale - mean[c]) / std[c]
PixelScale scale_of(std::string text, size_t channels, double scale, const std::vector<float>& mean,
                    const std::vector<float>& std) {
  PixelScale s{.text = std::move(text), .factor = {}, .offset = {}};
  for (size_t c = 0; c < channels; ++c) {
    s.factor.push_back(scale / entry(std, c, 1));
    s.offset.push_back(entry(mean, c, 0) / entry(std, c, 1));
  }
  return s;
}

/// A normalisation whole, and with each of its parts forgotten.
void add_with_mistakes(std::vector<PixelScale>& list, const std::string& who, size_t channels, double scale,
                       const std::vector<float>& mean, const std::vector<float>& std) {
  const auto add = [&](const std::string& text, double s, const std::vector<float>& m,
                       const std::vector<float>& d) { list.push_back(scale_of(text, channels, s, m, d)); };
  add(who, scale, mean, std);
  if (!mean.empty()) add(who + " with the mean left out", scale, {}, std);
  if (!std.empty()) add(who + " with the std left out", scale, mean, {});
  if (scale != 1) add(who + " with the scale left out", 1, mean, std);
  add(who + " of pixels already divided by 255", scale / 255, mean, std);
}

/// |span of the facts - span of the scale| over the larger width, averaged over channels: which of several
/// pairs with the same relation it is.
double span_misfit(const std::vector<ChannelFacts>& channels, const PixelScale& scale) {
  double sum = 0;
  for (size_t c = 0; c < channels.size(); ++c) {
    const double low = std::min(0.0, 255 * scale.factor[c]) - scale.offset[c],
                 high = std::max(0.0, 255 * scale.factor[c]) - scale.offset[c],
                 min = static_cast<double>(channels[c].min), max = static_cast<double>(channels[c].max);
    sum += (std::fabs(low - min) + std::fabs(high - max)) / std::max(high - low, max - min);
  }
  return sum / static_cast<double>(channels.size());
}

/// How far the ends of two sets are apart, in widths of the wider, averaged over channels.
double span_difference(const std::vector<ChannelFacts>& x, const std::vector<ChannelFacts>& y) {
  double sum = 0;
  for (size_t c = 0; c < x.size(); ++c) {
    const auto low = static_cast<double>(x[c].min), high = static_cast<double>(x[c].max),
               other_low = static_cast<double>(y[c].min), other_high = static_cast<double>(y[c].max);
    const double width = std::max({high - low, other_high - other_low, 1e-30});
    sum += (std::fabs(low - other_low) + std::fabs(high - other_high)) / width;
  }
  return sum / static_cast<double>(x.size());
}

}  // namespace

std::vector<PixelScale> known_scales(size_t channels, const std::optional<data::PixelFormat>& description) {
  std::vector<PixelScale> list = {scale_of("bytes 0..255", channels, 1, {}, {}),
                                  scale_of("pixel / 255", channels, 1.0 / 255, {}, {}),
                                  scale_of("pixel / 255 / 255", channels, 1.0 / 255 / 255, {}, {}),
                                  scale_of("pixel / 127.5 - 1", channels, 1 / 127.5, {1.0F}, {}),
                                  scale_of("(pixel - 127) / 128", channels, 1 / 128.0, {127.0F / 128}, {}),
                                  scale_of("pixel / 127.5", channels, 1 / 127.5, {}, {}),
                                  scale_of("pixel / 256", channels, 1.0 / 256, {}, {})};
  if (channels == 3) {
    add_with_mistakes(list, "(pixel / 255 - mean) / std of ImageNet", 3, 1.0 / 255, {0.485F, 0.456F, 0.406F},
                      {0.229F, 0.224F, 0.225F});
    list.push_back(scale_of("pixel - (123.68, 116.78, 103.94)", 3, 1, {123.68F, 116.78F, 103.94F}, {}));
    list.push_back(scale_of("pixel - (103.94, 116.78, 123.68)", 3, 1, {103.94F, 116.78F, 123.68F}, {}));
  }
  if (description && (description->mean.size() <= 1 || description->mean.size() == channels) &&
      (description->std.size() <= 1 || description->std.size() == channels))
    add_with_mistakes(list, "the description's (pixel * scale - mean) / std", channels, description->scale,
                      description->mean, description->std);
  return list;
}

double misfit(const std::vector<ChannelFacts>& calibration, const std::vector<ChannelFacts>& evaluation,
              const std::vector<double>& a, const std::vector<double>& b) {
  constexpr double kLeast = 1e-6;  // a constant channel is a million times flatter, not infinitely
  double sum = 0;
  for (size_t c = 0; c < calibration.size(); ++c) {
    const ChannelFacts &x = calibration[c], &y = evaluation[c];
    const double unit = std::max({y.spread, kLeast * std::fabs(y.mean), 1e-30}),
                 spread = std::max(std::fabs(a[c]) * x.spread, kLeast * unit);
    sum += std::fabs(a[c] * x.mean + b[c] - y.mean) / unit + std::fabs(std::log(spread / unit));
  }
  return sum / static_cast<double>(std::max<size_t>(1, calibration.size()));
}

namespace {

/// The facts of the samples [first, end) of an order over both sets.
std::vector<ChannelFacts> facts_of_dealt(const std::vector<const std::vector<ChannelSums>*>& samples,
                                         const std::vector<int32_t>& order, size_t first, size_t end) {
  std::vector<ChannelSums> sums(samples.front()->size());
  for (size_t i = first; i < end; ++i)
    for (size_t c = 0; c < sums.size(); ++c) add_sums(sums[c], (*samples[static_cast<size_t>(order[i])])[c]);
  std::vector<ChannelFacts> facts;
  for (const ChannelSums& s : sums) facts.push_back(facts_of(s));
  return facts;
}

/// Pictures of few pixels differ much from each other: how much two sets miss by chance, as in noise.h.
double misfit_noise(const InputFacts& calibration, const InputFacts& evaluation, uint64_t seed) {
  std::vector<const std::vector<ChannelSums>*> samples;
  for (const InputFacts* facts : {&calibration, &evaluation})
    for (const auto& sample : facts->samples) samples.push_back(&sample);
  if (samples.empty()) return 0;
  const std::vector<double> one(samples.front()->size(), 1), zero(samples.front()->size(), 0);
  const size_t mine = calibration.samples.size(), all = samples.size();
  double most = 0;
  for (const auto& order : shuffles(static_cast<int64_t>(all), kRounds, seed))
    most = std::max(most, misfit(facts_of_dealt(samples, order, 0, mine),
                                 facts_of_dealt(samples, order, mine, all), one, zero));
  return most;
}

/// Of the pairs of scales known, the one that leaves least.
void explain(const InputFacts& calibration, const InputFacts& evaluation,
             const std::optional<data::PixelFormat>& calibration_description,
             const std::optional<data::PixelFormat>& evaluation_description, ScaleRelation& relation) {
  if (calibration.channel_axis < 0) return;
  const auto &x = calibration.channels, &y = evaluation.channels;
  const std::vector<PixelScale> mine =
                                    known_scales(x.size(), evaluation_description ? evaluation_description
                                                                                  : calibration_description),
                                theirs = known_scales(y.size(), evaluation_description);
  double least = std::min(kMisfitLimit, relation.misfit / 2);
  for (const PixelScale& from : mine)
    for (const PixelScale& to : theirs) {
      std::vector<double> a, b;
      for (size_t c = 0; c < x.size(); ++c) {
        a.push_back(to.factor[c] / from.factor[c]);
        b.push_back(a[c] * from.offset[c] - to.offset[c]);
      }
      const double left = misfit(x, y, a, b), ends = span_misfit(x, from) + span_misfit(y, to),
                   all = left + ends;
      if (all >= least) continue;
      least = all;
      relation.calibration = from.text, relation.evaluation = to.text, relation.explained = left;
      relation.ends = ends;
    }
}

}  // namespace

ScaleRelation relate_scales(const InputFacts& calibration, const InputFacts& evaluation,
                            const std::optional<data::PixelFormat>& calibration_description,
                            const std::optional<data::PixelFormat>& evaluation_description, uint64_t seed) {
  ScaleRelation relation;
  const auto &x = calibration.channels, &y = evaluation.channels;
  if (x.size() != y.size() || x.empty()) return relation;
  for (size_t c = 0; c < x.size(); ++c)
    relation.factor.push_back(x[c].spread > 0 ? y[c].spread / x[c].spread : 0);
  relation.misfit = misfit(x, y, std::vector<double>(x.size(), 1), std::vector<double>(x.size(), 0));
  relation.is_off = relation.misfit > kMisfitLimit && span_difference(x, y) > kSpanLimit;
  if (!relation.is_off) return relation;
  relation.noise = misfit_noise(calibration, evaluation, seed);
  explain(calibration, evaluation, calibration_description, evaluation_description, relation);
  relation.is_off =
      relation.misfit > relation.noise || (!relation.calibration.empty() && relation.ends < kEndsLimit);
  return relation;
}

std::vector<std::string> description_differences(const data::PixelFormat& calibration,
                                                 const data::PixelFormat& evaluation) {
  std::vector<std::string> list;
  if (calibration.channels != evaluation.channels)
    list.push_back(fmt::format("channels {} against {}", calibration.channels, evaluation.channels));
  const size_t channels = std::max({calibration.mean.size(), calibration.std.size(), evaluation.mean.size(),
                                    evaluation.std.size(), size_t{1}});
  const PixelScale a = scale_of("", channels, calibration.scale, calibration.mean, calibration.std),
                   b = scale_of("", channels, evaluation.scale, evaluation.mean, evaluation.std);
  for (size_t c = 0; c < channels; ++c) {
    const double span_a = 255 * a.factor[c], span_b = 255 * b.factor[c],
                 width = std::max(std::fabs(span_a), std::fabs(span_b));
    // A hundredth of the range: numbers written with few digits are the same number.
    if (std::fabs(span_a - span_b) <= 0.01 * width && std::fabs(a.offset[c] - b.offset[c]) <= 0.01 * width)
      continue;
    list.push_back(fmt::format("pixels 0..255 become {:.4g} .. {:.4g} against {:.4g} .. {:.4g}", -a.offset[c],
                               span_a - a.offset[c], -b.offset[c], span_b - b.offset[c]));
    break;
  }
  return list;
}

}  // namespace narrow::calib
