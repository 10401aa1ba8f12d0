#include "report/report.h"

#include <gmock/gmock.h>

#include <random>

#include "base/test_folder.h"
#include "report/assets.h"
#include "report/distributions.h"
#include "report/page.h"

namespace narrow::reports {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// The data block of a page, as a browser would find it: up to the first "</script".
std::string data_of(const std::string& page) {
  const std::string open = R"(<script type="application/json" id="data">)";
  const size_t at = page.find(open);
  if (at == page.npos) return "";
  const size_t from = at + open.size();
  return page.substr(from, page.find("</script", from) - from);
}

Json layer(const char* value, double sqnr) {
  return {{"node", value}, {"value", value}, {"format", "u8"}, {"isolated", {{"sqnr_db", sqnr}}}};
}

/// A manifest with one integer build of layers a (20 dB), b (5 dB), c (10 dB, without a scale).
Json small_manifest() {
  const Json scale = {{"scale", 0.1}, {"zero_point", 3}};
  return {{"decision", {{"chosen", "int8"}}},
          {"builds",
           {{{"name", "int8"},
             {"layers", {layer("a", 20), layer("b", 5), layer("c", 10)}},
             {"recipe", {{"activations", {{"a", scale}, {"b", scale}}}}}}}}};
}

calib::Profile small_profile() {
  calib::Profile profile{.model_hash = "m", .data_hash = "d", .samples = 1, .values = {}, .methods = {}};
  const std::vector<float> values = {-1, 0, 0.5F, 3};
  for (const char* name : {"a", "b", "c"}) profile.values[name].histogram.add(values);
  return profile;
}

TEST(ScriptJson, KeepsMarkupInsideAScriptBlock) {
  const Json json = {{"</script><script>alert(1)</script>", "<!--<script>"}, {"plain", "a & b > c"}};
  const std::string text = script_json(json);
  EXPECT_THAT(text, Not(HasSubstr("<")));
  EXPECT_EQ(Json::parse(text), json);
}

TEST(ScriptJson, BytesThatAreNoTextBecomeReplacementCharacters) {
  EXPECT_EQ(script_json(Json("a\xff")), "\"a\xef\xbf\xbd\"");
}

TEST(FillIn, ReplacesEveryPlaceAndDoesNotSearchWhatItPutIn) {
  EXPECT_EQ(fill_in("<{{a}}|{{b}}|{{a}}>", {{"a", "{{b}}"}, {"b", "x"}}), "<{{b}}|x|{{b}}>");
  EXPECT_EQ(fill_in("{{unknown}} {{open", {{"a", "x"}}), "{{unknown}} {{open");
}

TEST(WorstValues, TakesTheLowestSqnrOfValuesWithAScale) {
  EXPECT_THAT(worst_values(small_manifest(), 1), ElementsAre("b"));
  EXPECT_THAT(worst_values(small_manifest(), 9), ElementsAre("a", "b"));
}

TEST(WorstValues, PassesOverWhatHasAnotherForm) {
  for (const char* text :
       {"null", "[]", "7", R"({"builds": {}})", R"({"builds": [1, "x", null, {}]})",
        R"({"builds": [{"layers": 1, "recipe": {"activations": []}}]})",
        R"({"builds": [{"layers": [1, {}, {"value": 1}, {"value": "a", "isolated": {"sqnr_db": null}}],
                        "recipe": {"activations": {"a": 1}}}]})"})
    EXPECT_TRUE(worst_values(Json::parse(text), 9).empty()) << text;
}

TEST(BarsOf, EveryValueIsInTheBarItFallsInto) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.3F, 2);
  std::vector<float> values(5000);
  for (float& x : values) x = normal(random);
  calib::Histogram h;
  h.add(values);
  const Json bars = bars_of(h, 50);
  const auto counts = bars["counts"].get<std::vector<int64_t>>();
  ASSERT_LE(counts.size(), 50U);
  const double low = bars["low"].get<double>(), width = bars["width"].get<double>();
  std::vector<int64_t> expected(counts.size());
  // Edges of bins are exact in float: limit and width are powers of two times integers.
  for (const float x : values) ++expected.at(static_cast<size_t>((static_cast<double>(x) - low) / width));
  EXPECT_EQ(counts, expected);
  EXPECT_EQ(bars["count"], 5000);
}

TEST(BarsOf, NothingCountedIsAnEmptyObject) { EXPECT_EQ(bars_of(calib::Histogram(), 50), Json::object()); }

TEST(Report, HoldsItsDataAndTheDistributionsOfItsWorstLayers) {
  const std::string page = make_report(small_manifest(), small_profile());
  const Json data = Json::parse(data_of(page), nullptr, false);
  ASSERT_FALSE(data.is_discarded());
  EXPECT_EQ(data["manifest"], small_manifest());
  EXPECT_EQ(data["distributions"].size(), 2U);
  EXPECT_EQ(data["distributions"]["b"]["count"], 4);
  EXPECT_EQ(page, make_report(small_manifest(), small_profile()));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
}

TEST(Report, NamesOutOfAModelStayData) {
  Json manifest = small_manifest();
  manifest["model"]["file"] = "</script><img src=x onerror=alert(1)>";
  const std::string page = make_report(manifest, small_profile());
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_EQ(Json::parse(data_of(page))["manifest"], manifest);
}

TEST(Report, AsksForNothingFromElsewhere) {
  const std::string page = make_report(small_manifest(), small_profile());
  EXPECT_GT(page.size(), 100'000U);
  for (const char* word : {"src=", "href=\"http", "href='http", "@import", "url(", "fetch(", "XMLHttpRequest",
                           "WebSocket", "sendBeacon", "import("})
    EXPECT_THAT(page, Not(HasSubstr(word))) << word;
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(Assets, EachStaysInItsElement) {
  for (const std::string_view script : {assets::kScript, assets::kCharts}) {
    EXPECT_EQ(script.find("</script"), script.npos);
    EXPECT_EQ(script.find("<!--"), script.npos);
  }
  EXPECT_EQ(assets::kStyle.find("</style"), assets::kStyle.npos);
  for (const char* place : {"{{style}}", "{{charts}}", "{{data}}", "{{script}}"})
    EXPECT_NE(assets::kPage.find(place), assets::kPage.npos) << place;
}

TEST(Assets, TextIsNeverReadAsMarkup) {
  for (const char* word : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("})
    EXPECT_EQ(assets::kScript.find(word), assets::kScript.npos) << word;
}

TEST(WriteReport, IsTheSameFromTheFilesOfAFolder) {
  const TestFolder folder;
  folder.write("manifest.json", small_manifest().dump(2));
  ASSERT_TRUE(calib::write_profile(folder.path() / "calibration.json", small_profile()).ok());
  const auto path = write_report(folder.path());
  ASSERT_TRUE(path.ok()) << path.error().message();
  EXPECT_EQ(TestFolder::read(*path), make_report(small_manifest(), small_profile()));
}

TEST(WriteReport, TakesAManifestWhoseMembersHaveOtherTypes) {
  const TestFolder folder;
  ASSERT_TRUE(calib::write_profile(folder / "calibration.json", small_profile()).ok());
  for (const char* text : {R"({"decision": {}, "builds": [1, null, [], {"recipe": 7, "layers": {}}]})",
                           R"({"decision": {"chosen": []}, "builds": [{"recipe": {"activations": {"a": 1}},
                               "layers": [{"value": "a", "isolated": {"sqnr_db": "low"}}, "x"]}]})"}) {
    folder.write("manifest.json", text);
    EXPECT_TRUE(write_report(folder.path()).ok()) << text;
  }
}

TEST(WriteReport, NamesTheFileThatIsWrong) {
  const TestFolder folder;
  EXPECT_THAT(write_report(folder.path()).error().message(), HasSubstr("manifest.json"));
  const std::string deep = R"({"decision": {}, "builds": )" + std::string(100'000, '[');
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
                                  std::string(R"({"builds": []})"), deep + std::string(100'000, ']') + "}",
                                  deep, std::string(R"({"builds": {}, "decision": 1})")}) {
    folder.write("manifest.json", text);
    EXPECT_EQ(write_report(folder.path()).error().code, Code::invalid_data) << text;
  }
  folder.write("manifest.json", small_manifest().dump());
  EXPECT_THAT(write_report(folder.path()).error().message(), HasSubstr("calibration.json"));
}

}  // namespace
}  // namespace narrow::reports
