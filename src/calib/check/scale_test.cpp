#include "calib/check/scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace narrow::calib {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// Photos as InputFacts sees them: pixels of three channels, from black to white, scaled.
InputFacts photos(const PixelScale& scale, uint64_t seed, double brightness = 120) {
  Random random(seed);
  InputFacts facts;
  facts.channel_axis = 1;
  for (size_t c = 0; c < 3; ++c) {
    ChannelFacts channel{.count = 1000, .mean = 0, .spread = 0, .min = 0, .max = 0};
    const double mean = brightness - 8.0 * static_cast<double>(c) + 10 * random.normal(),
                 spread = 65 + 5 * random.normal();
    channel.mean = scale.factor[c] * mean - scale.offset[c];
    channel.spread = scale.factor[c] * spread;
    channel.min = static_cast<float>(-scale.offset[c]);
    channel.max = static_cast<float>(255 * scale.factor[c] - scale.offset[c]);
    facts.channels.push_back(channel);
  }
  return facts;
}

/// Every known scale against every other: off, and named; against itself: not off.
TEST(RelateScales, NamesEveryPairOfKnownScales) {
  const std::vector<PixelScale> scales = known_scales(3, std::nullopt);
  for (const PixelScale& mine : scales)
    for (const PixelScale& theirs : scales) {
      SCOPED_TRACE(mine.text + " | " + theirs.text);
      const ScaleRelation got = relate_scales(photos(mine, 1), photos(theirs, 2), {}, {});
      double apart = 0;  // ends of the two, in widths of the wider
      for (size_t c = 0; c < 3; ++c) {
        const double width = 255 * std::max(mine.factor[c], theirs.factor[c]);
        apart +=
            (std::fabs(mine.offset[c] - theirs.offset[c]) +
             std::fabs(255 * mine.factor[c] - mine.offset[c] - 255 * theirs.factor[c] + theirs.offset[c])) /
            width / 3;
      }
      if (apart < 0.05) {  // the same, or nearly: pixel / 127.5 - 1 and (pixel - 127) / 128
        EXPECT_FALSE(got.is_off);
      } else if (apart > 0.9) {
        EXPECT_TRUE(got.is_off);
        EXPECT_LT(got.explained, kMisfitLimit);
        EXPECT_FALSE(got.calibration.empty());
      }
    }
}

/// Ten photos of one brightness each: dealt out again they miss by as much as another unit does, but both
/// sets reach black and white of their own.
TEST(RelateScales, FewPhotosInAnotherUnitAreNamedByTheirEnds) {
  const std::vector<PixelScale> scales = known_scales(3, std::nullopt);
  const auto find = [&](const char* text) {
    return *std::find_if(scales.begin(), scales.end(), [&](const PixelScale& s) { return s.text == text; });
  };
  const PixelScale imagenet = find("(pixel / 255 - mean) / std of ImageNet"),
                   detector = find("(pixel - 127) / 128");
  const auto with_samples = [](InputFacts facts, const PixelScale& scale) {
    for (int i = 0; i < 10; ++i) {
      std::vector<ChannelSums> sample;
      for (size_t c = 0; c < 3; ++c) {
        const double mean = scale.factor[c] * (i % 2 == 0 ? 10 : 230) - scale.offset[c],
                     spread = scale.factor[c] * 15;
        sample.push_back({.count = 100,
                          .total = 100 * mean,
                          .squares = 100 * (mean * mean + spread * spread),
                          .min = facts.channels[c].min,
                          .max = facts.channels[c].max});
      }
      facts.samples.push_back(std::move(sample));
    }
    return facts;
  };
  const ScaleRelation got = relate_scales(with_samples(photos(imagenet, 1), imagenet),
                                          with_samples(photos(detector, 2), detector), {}, {});
  EXPECT_GT(got.noise, got.misfit);
  EXPECT_TRUE(got.is_off);
  EXPECT_EQ(got.calibration, imagenet.text);
  EXPECT_LT(got.ends, kEndsLimit);
  // The same numbers with ends that no known unit has are as far apart as chance puts them.
  InputFacts dim = with_samples(photos(imagenet, 1), imagenet);
  for (ChannelFacts& channel : dim.channels) channel.max *= 0.6F;
  EXPECT_FALSE(relate_scales(dim, with_samples(photos(detector, 2), detector), {}, {}).is_off);
}

TEST(RelateScales, SaysWhichMistake) {
  const std::vector<PixelScale> scales = known_scales(3, std::nullopt);
  const auto named = [&](const std::string& text) {
    for (const PixelScale& s : scales)
      if (s.text == text) return s;
    ADD_FAILURE() << text;
    return scales[0];
  };
  const PixelScale imagenet = named("(pixel / 255 - mean) / std of ImageNet");
  for (const char* mistake : {"bytes 0..255", "pixel / 255", "pixel / 127.5 - 1", "pixel / 255 / 255",
                              "(pixel / 255 - mean) / std of ImageNet with the mean left out",
                              "(pixel / 255 - mean) / std of ImageNet with the std left out"}) {
    const ScaleRelation got = relate_scales(photos(named(mistake), 3), photos(imagenet, 4), {}, {});
    EXPECT_TRUE(got.is_off) << mistake;
    EXPECT_EQ(got.calibration, mistake);
    EXPECT_EQ(got.evaluation, imagenet.text);
  }
}

TEST(RelateScales, OtherContentIsNotAnotherScale) {
  const PixelScale unit = known_scales(3, std::nullopt)[1];
  EXPECT_FALSE(relate_scales(photos(unit, 5), photos(unit, 6, 40), {}, {}).is_off);  // night
  EXPECT_FALSE(relate_scales(photos(unit, 5), photos(unit, 6, 220), {}, {}).is_off);
}

TEST(RelateScales, AFactorNobodyKnowsIsAFactor) {
  PixelScale odd = known_scales(3, std::nullopt)[1];
  for (double& f : odd.factor) f *= 7.3;
  const ScaleRelation got =
      relate_scales(photos(odd, 7), photos(known_scales(3, std::nullopt)[1], 7), {}, {});
  EXPECT_TRUE(got.is_off);
  EXPECT_THAT(got.calibration, IsEmpty());
  for (const double f : got.factor) EXPECT_NEAR(f, 1 / 7.3, 1e-9);
}

TEST(RelateScales, DescriptionsAreKnown) {
  const data::PixelFormat odd{.channels = "RGB", .scale = 0.01, .mean = {0.9F}, .std = {3.0F}};
  const std::vector<PixelScale> scales = known_scales(3, odd);
  const auto find = [&](const std::string& part) {
    for (const PixelScale& s : scales)
      if (s.text.find(part) != std::string::npos) return s;
    ADD_FAILURE() << part;
    return scales[0];
  };
  const PixelScale whole = find("the description's"),
                   no_std = find("the description's (pixel * scale - mean) / std with the std left out");
  EXPECT_NEAR(whole.factor[2], 0.01 / 3, 1e-12);
  EXPECT_NEAR(whole.offset[1], 0.3, 1e-7);
  const ScaleRelation got = relate_scales(photos(no_std, 8), photos(whole, 9), {}, odd);
  EXPECT_TRUE(got.is_off);
  EXPECT_THAT(got.calibration, HasSubstr("the std left out"));
}

TEST(Misfit, ByHand) {
  const std::vector<ChannelFacts> x = {{.count = 1, .mean = 1, .spread = 2, .min = 0, .max = 0}},
                                  y = {{.count = 1, .mean = 5, .spread = 4, .min = 0, .max = 0}};
  EXPECT_NEAR(misfit(x, y, {1}, {0}), 1 + std::log(2), 1e-12);
  EXPECT_NEAR(misfit(x, y, {2}, {3}), 0, 1e-12);
  EXPECT_NEAR(misfit(x, y, {2}, {0}), 0.75, 1e-12);
}

TEST(DescriptionDifferences, NamesKeys) {
  const data::PixelFormat a{.channels = "RGB",
                            .scale = 1.0 / 255,
                            .mean = {0.485F, 0.456F, 0.406F},
                            .std = {0.229F, 0.224F, 0.225F}};
  data::PixelFormat b = a;
  EXPECT_THAT(description_differences(a, b), IsEmpty());
  b.scale = 0.00392;  // the same in three digits
  EXPECT_THAT(description_differences(a, b), IsEmpty());
  b = a, b.channels = "BGR";
  EXPECT_THAT(description_differences(a, b), testing::ElementsAre("channels RGB against BGR"));
  b = a, b.mean.clear();
  EXPECT_EQ(description_differences(a, b).size(), 1U);
  // The same numbers, written otherwise.
  b = {.channels = "RGB", .scale = 1, .mean = {}, .std = {}};
  for (size_t c = 0; c < 3; ++c) b.mean.push_back(255 * a.mean[c]), b.std.push_back(255 * a.std[c]);
  EXPECT_THAT(description_differences(a, b), IsEmpty());
}

}  // namespace
}  // namespace narrow::calib
