#include "tensorrt/calibration_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace narrow::tensorrt {
namespace {

using testing::HasSubstr;

// Scales of files TensorRT itself wrote: 3c92aa10 is 0.0179033577 (forums.developer.nvidia.com, topic
// 109781); 3c010a14 the softmax of sampleINT8, one above 1/127 = 3c010204.
TEST(CalibrationCache, WritesTheBitsOfTheScale) {
  const auto text = calibration_cache({{"relu46", 0.0179033577F}, {"data", 1.0F / 127}});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, "TRT-100300-EntropyCalibration2\ndata: 3c010204\nrelu46: 3c92aa10\n");
}

TEST(CalibrationCache, ScaleIsTheLargerSideOver127) {
  EXPECT_EQ(cache_scale(-1.0F, 2.0F), 2.0F / 127);
  EXPECT_EQ(cache_scale(-3.0F, 2.0F), 3.0F / 127);
  EXPECT_EQ(cache_scale(0, 0), 1.0F / 127);
}

TEST(CalibrationCache, ReadsWhatTensorRtWrites) {
  const auto scales = parse_calibration_cache(
      "TRT-7000-EntropyCalibration2\r\ndata: 3c008912\r\n(Unnamed Layer* 48) [Constant]_output: "
      "3DDC858B\r\n");
  ASSERT_TRUE(scales.ok()) << scales.error().message();
  EXPECT_EQ(scales->size(), 2U);
  EXPECT_FLOAT_EQ(scales->at("data"), 0.00784518F);
  EXPECT_FLOAT_EQ(scales->at("(Unnamed Layer* 48) [Constant]_output"), 0.107676588F);
}

TEST(CalibrationCache, UnusualNamesSurvive) {
  const std::map<std::string, float> scales = {{"a b", 0.5F},
                                               {"x: 3c010204", 0.25F},
                                               {"tail: ", 2.0F},
                                               {"/layer1/conv:0", std::numeric_limits<float>::min()},
                                               {"größe", std::numeric_limits<float>::max()},
                                               {": ", std::numeric_limits<float>::denorm_min()}};
  const auto text = calibration_cache(scales, 8601);
  ASSERT_TRUE(text.ok());
  const auto again = parse_calibration_cache(*text);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(*again, scales);
}

TEST(CalibrationCache, RefusesWhatItCannotHold) {
  for (const char* name : {"a\nb", "a\r", ""}) EXPECT_FALSE(calibration_cache({{name, 1.0F}}).ok()) << name;
  for (const float scale :
       {0.0F, -1.0F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_FALSE(calibration_cache({{"x", scale}}).ok()) << scale;
}

TEST(CalibrationCache, BadFilesAreErrorsThatNameTheLine) {
  const auto message = [](std::string_view text) {
    const auto scales = parse_calibration_cache(text);
    return scales.ok() ? "" : scales.error().message();
  };
  EXPECT_EQ(message("TRT-1-EntropyCalibration2\n\n"), "");
  for (const char* text : {"", "\n", "TRT--EntropyCalibration2\n", "TRT-1\n", "x: 3c010204\n"})
    EXPECT_THAT(message(text), HasSubstr("line 1")) << text;
  for (const char* line : {"x", "x:3c010204", ": 3c010204", "x: 3c01020", "x: 3c0102045", "x: 3c01020g",
                           "x: -3c01020", "x: 0x3c0102"})
    EXPECT_THAT(message(std::string("TRT-1-A\n") + line), HasSubstr("line 2")) << line;
  EXPECT_THAT(message("TRT-1-A\nx: 3c010204\nx: 3c010204\n"), HasSubstr("line 3"));
}

}  // namespace
}  // namespace narrow::tensorrt
