#include "pipeline/remedy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace narrow::pipeline {
namespace {

TEST(OtherSettings, EveryMethodOfTheTwoTablesOnceAndNotTheFirst) {
  const Setting first{.ranges = {}, .methods = quant::standard_methods()};
  std::set<std::string> names;
  for (const Setting& setting : other_settings(quant::Precision::int8, first))
    EXPECT_TRUE(names.insert(to_string(setting)).second) << to_string(setting);
  const auto settings = other_settings(quant::Precision::int8, first);
  EXPECT_TRUE(std::is_partitioned(settings.begin(), settings.end(), is_quick));
  EXPECT_TRUE(is_quick(settings.front()) && !is_quick(settings.back()));
  EXPECT_FALSE(names.contains(to_string(first)));
  EXPECT_EQ(names.size(), 6 * recipes_of(quant::Precision::int8).size() - 1);
  EXPECT_EQ(other_settings(quant::Precision::int4, first).size(), recipes_of(quant::Precision::int4).size());
  // Every recipe can be read, and is not said twice.
  for (const auto precision :
       {quant::Precision::int8, quant::Precision::int8_dynamic, quant::Precision::int2})
    for (const char* list : recipes_of(precision)) EXPECT_TRUE(quant::parse_methods(list).ok()) << list;
  EXPECT_TRUE(other_settings(quant::Precision::bf16, first).empty());
}

TEST(Remedy, CommandAndTomlSayOnlyWhatIsNotStandard) {
  BuildRequest request{.model = "my model.onnx",
                       .calib = "calib.toml",
                       .eval = "eval.toml",
                       .metric_command = {},
                       .gates = {"top1.drop<=0.5pp"},
                       .setting = {.ranges = {}, .methods = quant::standard_methods()},
                       .wide = {}};
  EXPECT_EQ(command_of(request),
            "narrow build 'my model.onnx' --calib calib.toml --eval eval.toml --precisions fp32,int8 --gate "
            "'top1.drop<=0.5pp' --out out");
  request.setting.ranges = {.method = calib::Method::percentile, .percentile = 99.5};
  request.setting.methods = *quant::parse_methods("nearest");
  request.wide = {"conv_1=bf16", "a\"b'c"};
  EXPECT_EQ(command_of(request),
            "narrow build 'my model.onnx' --calib calib.toml --eval eval.toml --precisions fp32,int8 --gate "
            "'top1.drop<=0.5pp' --calib-method percentile --percentile 99.5 --recipe nearest --wide "
            "conv_1=bf16 --wide 'a\"b'\\''c' --out out");
  EXPECT_EQ(toml_of(request), R"(model = "my model.onnx"
calib = "calib.toml"
eval = "eval.toml"
precisions = "fp32,int8"
gate = ["top1.drop<=0.5pp"]
calib-method = "percentile"
percentile = "99.5"
recipe = ["nearest"]
wide = ["conv_1=bf16", "a\"b'c"]
)");
}

}  // namespace
}  // namespace narrow::pipeline
