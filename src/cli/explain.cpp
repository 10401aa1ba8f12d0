#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "artifact/artifact.h"
#include "artifact/ledger.h"
#include "base/file.h"
#include "base/json_text.h"
#include "cli/command.h"
#include "cli/table.h"
#include "pipeline/model.h"
#include "runtime/session.h"

namespace narrow::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  Common common;
  std::string path;
  int64_t batch = 1, length = 128;
};

/// Candidates that were asked before the chosen ones, each with its reason. Reasons that differ in numbers
/// only are one line, shown as the first node has it.
class Rejections {
 public:
  void add(const std::string& node, const std::string& kernel, const std::string& reason) {
    std::string pattern = kernel + reason;
    std::erase_if(pattern, [](char c) { return c >= '0' && c <= '9'; });
    const auto [at, fresh] = index_.try_emplace(pattern, lines_.size());
    if (fresh) lines_.push_back({kernel, reason, node, 0});
    ++lines_[at->second].count;
  }

  std::string text() const {
    std::vector<std::vector<std::string>> rows;
    for (const Line& line : lines_)
      rows.push_back({line.kernel, fmt::format("{}", line.count), line.first, line.reason});
    return rows.empty()
               ? ""
               : "\n" + table({"not chosen", "nodes", "first", "because"}, rows, {false, true, false, false});
  }

 private:
  struct Line {
    std::string kernel, reason, first;
    int count;
  };
  std::map<std::string, size_t> index_;
  std::vector<Line> lines_;
};

/// What was timed for the plan as a whole: "on demand 5115 us (fetched ahead 5230 us)".
std::string explain_choice(const runtime::Tactic& tactic, Json& list) {
  std::vector<std::string> others;
  Json trials = Json::array();
  for (const runtime::Trial& trial : tactic) {
    others.push_back(fmt::format("{} {:.0f} us", trial.kernel, trial.microseconds));
    trials.push_back({{"choice", trial.kernel}, {"us", trial.microseconds}});
  }
  list.push_back(trials);
  const std::string winner = others.front();
  others.erase(others.begin());
  return fmt::format("the whole plan {} ({})\n", winner, fmt::join(others, ", "));
}

/// The kernels a file's plan chose, and why not those before them.
Result<Json> explain_plan(const Options& o, const fs::path& file, std::string& text) {
  auto pool = std::make_shared<ThreadPool>(o.common.threads);
  NARROW_TRY(runtime::Session session, runtime::Session::open(file, pool));
  NARROW_TRY(const runtime::PlanInfo info,
             session.plan_info(pipeline::default_shapes(session.interface(), o.batch, o.length)));
  std::vector<std::vector<std::string>> rows;
  Json steps = Json::array();
  Rejections rejections;
  for (const runtime::StepChoice& step : info.steps) {
    const std::string name = step.node.empty() ? fmt::format("{}", fmt::join(step.outputs, ",")) : step.node;
    Json rejected = Json::array();
    for (const auto& r : step.rejected) {
      rejections.add(name, r.kernel, r.reason);
      rejected.push_back({{"kernel", r.kernel}, {"reason", r.reason}});
    }
    rows.push_back({name, step.op, fmt::format("{}", fmt::join(step.formats, ",")),
                    step.kernel + (step.emulated ? " (emulated)" : "") +
                        (step.slices > 1 ? fmt::format(" ({} slices)", step.slices) : "") +
                        (step.bands > 1 ? fmt::format(" ({} bands)", step.bands) : "")});
    steps.push_back({{"node", step.node},
                     {"op", step.op},
                     {"formats", step.formats},
                     {"kernel", step.kernel},
                     {"emulated", step.emulated},
                     {"slices", step.slices},
                     {"bands", step.bands},
                     {"rejected", rejected}});
  }
  text += fmt::format("{}: {} steps, arena {} (at least {} is alive at once), packed weights {}\n",
                      file.string(), info.steps.size(), megabytes(info.arena_bytes),
                      megabytes(info.arena_lower_bound), megabytes(info.weight_bytes));
  Json choices = Json::array();
  for (const runtime::Tactic& tactic : info.choices) text += explain_choice(tactic, choices);
  text += table({"node", "op", "format", "kernel"}, rows, {false, false, false, false}) + rejections.text();
  return Json{{"file", file.string()},
              {"steps", steps},
              {"choices", choices},
              {"arena_bytes", info.arena_bytes},
              {"arena_lower_bound", info.arena_lower_bound},
              {"weight_bytes", info.weight_bytes}};
}

/// Where the bytes of an artifact go: by kind, and the largest layers.
Result<Json> explain_bytes(const fs::path& file, std::string& text) {
  NARROW_TRY(const artifact::Ledger ledger, artifact::read_ledger(file));
  const auto share = [&](int64_t bytes) {
    return fmt::format("{:.1f} %", 100 * static_cast<double>(bytes) / static_cast<double>(ledger.file));
  };
  std::vector<std::vector<std::string>> kinds, layers;
  for (const auto& [kind, bytes] : ledger.kinds)
    if (bytes > 0) kinds.push_back({to_string(kind), fmt::format("{}", bytes), share(bytes)});
  kinds.push_back({"the file", fmt::format("{}", ledger.file), ""});
  constexpr size_t kShown = 5;
  for (size_t i = 0; i < std::min(kShown, ledger.layers.size()); ++i) {
    const artifact::LayerBytes& layer = ledger.layers[i];
    std::vector<std::string> parts;
    for (const auto& [kind, bytes] : layer.kinds)
      parts.push_back(fmt::format("{} {}", to_string(kind), bytes));
    layers.push_back({layer.name, layer.op, fmt::format("{}", layer.total), share(layer.total),
                      fmt::format("{}", fmt::join(parts, ", "))});
  }
  text += "\n" + table({"bytes of", "", ""}, kinds, {false, true, true});
  if (!layers.empty())
    text += "\n" + table({"largest layers", "op", "bytes", "", "of them"}, layers,
                         {false, false, true, true, false});
  return to_json(ledger);
}

/// Which nodes an artifact keeps wider than its precision, and why. What has another form than expected, here
/// and below, is passed over.
void explain_recipe(const Json& recipe, std::string& text) {
  const Json& nodes = member(recipe, "nodes");
  if (!nodes.is_object()) return;
  std::map<std::string, int> counts;
  for (const auto& [name, node] : nodes.items()) {
    const std::string format = text_member(node, "format"), reason = text_member(node, "reason");
    ++counts[format];
    if (!reason.empty()) text += fmt::format("{} computes in {}: {}\n", name, format, reason);
  }
  for (const auto& [format, count] : counts) text += fmt::format("{} nodes in {}\n", count, format);
}

/// The texts of a list.
std::vector<std::string> texts(const Json& list) {
  std::vector<std::string> result;
  if (!list.is_array()) return result;
  for (const Json& line : list)
    if (line.is_string()) result.push_back(line.get<std::string>());
  return result;
}

void add_lines(const Json& list, std::string& text) {
  for (const std::string& line : texts(list)) text += line + "\n";
}

/// The formats that some layer could have.
std::set<std::string> formats_of(const Json& layers) {
  std::set<std::string> formats;
  for (const Json& layer : layers)
    if (const Json& choices = member(layer, "choices"); choices.is_object())
      for (const auto& [format, cost] : choices.items()) formats.insert(format);
  return formats;
}

/// What each layer would take and disturb in every format it could have, and which was taken.
void explain_mix(const Json& mix, std::string& text) {
  const Json& layers = member(mix, "layers");
  if (!layers.is_array() || layers.empty()) return;
  const bool about_bytes = number_member(mix, "per_byte") > 0;
  const std::set<std::string> formats = formats_of(layers);
  std::vector<std::string> head = {"layer", "format"};
  std::vector<bool> numbers = {false, false};
  for (const std::string& format : formats)
    for (const char* unit : {" us", " kB", " noise dB"})
      if (about_bytes || std::string_view(unit) != " kB")
        head.push_back(format + unit), numbers.push_back(true);
  std::vector<std::vector<std::string>> rows;
  for (const Json& layer : layers) {
    rows.push_back({text_member(layer, "node"), text_member(layer, "format")});
    for (const std::string& format : formats) {
      const Json& cost = member(member(layer, "choices"), format.c_str());
      const double ms = number_member(cost, "ms"), noise = number_member(cost, "noise");
      const bool there = cost.is_object();
      rows.back().push_back(there ? fmt::format("{:.1f}", 1000 * ms) : "");
      if (about_bytes)
        rows.back().push_back(there ? fmt::format("{:.1f}", number_member(cost, "bytes") / 1e3) : "");
      rows.back().push_back(!there ? "" : noise > 0 ? fmt::format("{:.0f}", 10 * std::log10(noise)) : "none");
    }
  }
  text += "\nmixed: layers alone, by format; noise of the outputs relative to their power\n" +
          table(head, rows, numbers);
}

Result<Json> read_manifest(const fs::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  NARROW_TRY(Json manifest, parse_json(file->text(), path.string()));
  if (!member(manifest, "decision").is_object() || !member(manifest, "builds").is_array())
    return Error{.code = Code::invalid_data,
                 .subject = path.string(),
                 .expected = "the manifest of a build",
                 .got = "something else",
                 .hint = "build again"};
  return manifest;
}

Result<Json> explain_folder(const Options& o, std::string& text) {
  const fs::path folder = o.path;
  NARROW_TRY(const Json manifest, read_manifest(folder / "manifest.json"));
  const Json& decision = manifest["decision"];
  text += text_member(decision, "explanation") + "\n";
  if (const Json& verdicts = member(decision, "verdicts"); verdicts.is_object())
    for (const auto& [name, verdict] : verdicts.items())
      text += fmt::format("  {:6} {}\n", name, text_member(verdict, "text"));
  if (decision.contains("fallback"))
    text += fmt::format("fallback order: {}\n", fmt::join(texts(decision["fallback"]), " → "));
  for (const Json& build : manifest["builds"]) {
    text += fmt::format("\n{}\n", text_member(build, "name"));
    explain_recipe(member(build, "recipe"), text);
    add_lines(member(build, "findings"), text);  // the recipe's notes are among them
  }
  explain_mix(member(manifest, "mix"), text);
  const std::string chosen = text_member(decision, "chosen");
  Json json = {{"decision", decision}};
  std::error_code error;
  if (!chosen.empty() && fs::exists(folder / (chosen + ".narrow"), error)) {
    text += "\n";
    NARROW_TRY(json["plan"], explain_plan(o, folder / (chosen + ".narrow"), text));
    NARROW_TRY(json["bytes"], explain_bytes(folder / (chosen + ".narrow"), text));
  }
  return json;
}

Result<int> run(const Options& o) {
  std::string text;
  Json json;
  std::error_code error;
  if (fs::is_directory(o.path, error)) {
    NARROW_TRY(json, explain_folder(o, text));
  } else {
    if (artifact::is_artifact(o.path)) {
      NARROW_TRY(const artifact::Opened file, artifact::read(o.path));
      const Json& recipe = member(file.about, "recipe");
      explain_recipe(recipe, text);
      add_lines(member(recipe, "notes"), text);
      text += "\n";
    }
    NARROW_TRY(json, explain_plan(o, o.path, text));
    if (artifact::is_artifact(o.path)) {
      NARROW_TRY(json["bytes"], explain_bytes(o.path, text));
    }
  }
  print_text(o.common, text);
  print_json(o.common, json);
  return kDone;
}

}  // namespace

Command add_explain(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app =
      root.add_subcommand("explain", "every choice (build, precision, kernel) and why not the others");
  app->description(
      "For a build's folder: the decision, what stayed wide and why, and the chosen build's kernels. For a "
      "file: its kernels.");
  app->add_option("PATH", o->path, "folder of a build, .narrow or .onnx file")->required();
  app->add_option("--batch", o->batch, "samples per inference the plan is for (default 1)")
      ->check(CLI::Range(1, 65536));
  app->add_option("--length", o->length, "what other free dimensions become (default 128)")
      ->check(CLI::Range(1, 1 << 20));
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
