// report.html: what a build's folder says, for eyes. One file that needs nothing else and no network.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "calib/profile.h"

namespace narrow::reports {

/// The whole page. The manifest may hold anything: a section whose data has another form than manifest.json
/// has says so in the page, and the others are drawn. Same arguments, same text.
std::string make_report(const Json& manifest, const calib::Profile& profile);

/// Reads FOLDER/manifest.json and FOLDER/calibration.json and writes FOLDER/report.html. Returns its path.
/// Errors: not_found, io; invalid_data when one of the two is not what `narrow build` writes.
Result<std::filesystem::path> write_report(const std::filesystem::path& folder);

}  // namespace narrow::reports
