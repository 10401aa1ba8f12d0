#include "report/report.h"

#include <fmt/format.h>

#include "cli/command.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string folder;
};

Result<int> run(const Options& o) {
  NARROW_TRY(const std::filesystem::path path, reports::write_report(o.folder));
  print_text(o.common, path.string() + "\n");
  print_json(o.common, {{"report", path.string()}});
  return kDone;
}

}  // namespace

Command add_report(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("report", "a build's folder as one page: report.html");
  app->description(
      "Writes DIR/report.html from DIR/manifest.json and DIR/calibration.json: one file for any browser that "
      "needs no\nnetwork. `build` writes it too.");
  app->add_option("DIR", o->folder, "folder of a build")->required();
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
