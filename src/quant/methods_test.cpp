#include "quant/methods.h"

#include <gtest/gtest.h>

namespace narrow::quant {
namespace {

TEST(Methods, ListsReadAndPrint) {
  const auto methods = parse_methods(" gptq( damping = 0.02 ),nearest");
  ASSERT_TRUE(methods.ok()) << methods.error().message();
  ASSERT_EQ(methods->size(), 2U);
  EXPECT_EQ((*methods)[0].method, Method::gptq);
  EXPECT_EQ((*methods)[0].settings.at("damping"), 0.02);
  EXPECT_EQ((*methods)[0].settings.at("samples"), 256);
  EXPECT_EQ(to_string(*methods), "gptq(damping=0.02), nearest");
}

TEST(Methods, EveryNameIsReadBack) {
  for (const MethodInfo& info : all_methods()) {
    const auto methods = parse_methods(info.name);
    ASSERT_TRUE(methods.ok()) << methods.error().message();
    EXPECT_EQ(methods->front().method, info.method);
    EXPECT_EQ(to_string(*methods), info.name);
    for (const MethodSetting& s : info.settings) EXPECT_TRUE(s.low <= s.standard && s.standard <= s.high);
  }
}

TEST(Methods, ErrorsNameWhatThereIs) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "at least one method"},
      {"gptqq",
       "methods out of rotate, equalize, absorb-bias, smooth, awq, prune, outliers, nearest, hqq, seqmse, "
       "gptq, adaround, brecq"},
      {"gptq, equalize", "what changes the graph before what rounds"},
      {"gptq, prune", "what changes the graph before what rounds"},
      {"gptq, outliers", "prune and outliers between them"},
      {"outliers, prune", "prune and outliers between them"},
      {"outliers, outliers(percent=2)", "outliers once"},
      {"outliers(percent=0.1)", "a number from 0.5"},
      {"prune, equalize", "prune and outliers between them"},
      {"prune, prune(m=4)", "prune once"},
      {"prune(m=4,block=8)", "m or block, not both"},
      {"prune, adaround", "prune with gptq"},
      {"prune(m=4,n=4)", "n below m"},
      {"prune(block=1.5)", "whole numbers"},
      {"gptq(depth=3)", "damping, samples, act_order, residual"},
      {"gptq(damping=2)", "a number from"},
      {"gptq(damping=x)", "a number from"},
      {"gptq(damping)", "a number from"},
      {"gptq(damping=0.1", "settings in parentheses"},
      {"nearest(x=1)", "no settings"},
  };
  for (const auto& [text, expected] : cases) {
    const auto methods = parse_methods(text);
    ASSERT_FALSE(methods.ok()) << text;
    EXPECT_EQ(methods.error().code, Code::usage);
    EXPECT_NE(methods.error().message().find(expected), std::string::npos) << methods.error().message();
  }
}

}  // namespace
}  // namespace narrow::quant
