#include "report/report.h"

#include "base/file.h"
#include "base/json_text.h"
#include "report/assets.h"
#include "report/distributions.h"
#include "report/page.h"

namespace narrow::reports {
namespace fs = std::filesystem;
namespace {

constexpr size_t kWorst = 24;  // distributions kept per build; the page shows some and unfolds the rest
constexpr int64_t kBars = 96;  // two pixels each where a chart is narrowest

Result<Json> read_manifest(const fs::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  NARROW_TRY(Json json, parse_json(file->text(), path.string()));
  if (!member(json, "decision").is_object() || !member(json, "builds").is_array())
    return Error{.code = Code::invalid_data,
                 .subject = path.string(),
                 .expected = "the manifest of a build",
                 .got = "something else",
                 .hint = "build again"};
  return json;
}

}  // namespace

std::string make_report(const Json& manifest, const calib::Profile& profile) {
  Json distributions = Json::object();
  for (const std::string& name : worst_values(manifest, kWorst)) {
    const auto value = profile.values.find(name);
    if (value == profile.values.end()) continue;
    Json bars = bars_of(value->second.histogram, kBars);
    if (!bars.empty()) distributions[name] = std::move(bars);
  }
  const std::string data = script_json({{"manifest", manifest}, {"distributions", std::move(distributions)}});
  return fill_in(
      assets::kPage,
      {{"style", assets::kStyle}, {"charts", assets::kCharts}, {"data", data}, {"script", assets::kScript}});
}

Result<fs::path> write_report(const fs::path& folder) {
  NARROW_TRY(const Json manifest, read_manifest(folder / "manifest.json"));
  NARROW_TRY(const calib::Profile profile, calib::read_profile(folder / "calibration.json"));
  fs::path path = folder / "report.html";
  NARROW_DO(write_file(path, make_report(manifest, profile)));
  return path;
}

}  // namespace narrow::reports
