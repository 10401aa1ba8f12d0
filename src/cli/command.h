// What the subcommands share: common options, exit codes, results and errors on their way out.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "calib/range.h"
#include "pipeline/variant.h"
#include "quant/methods.h"
#include "quant/recipe.h"
#include "verify/gate.h"

namespace narrow::cli {

/// PRODUCT.md: 0 done, 1 error, 2 wrong usage, 3 a gate failed, 4 a gate is inconclusive.
enum Exit : int { kDone = 0, kError = 1, kUsage = 2, kGateFailed = 3, kInconclusive = 4 };

struct Common {
  bool json = false, quiet = false;
  int threads = 0;
  uint64_t seed = 1;
};

/// A subcommand parses into its own options and runs to an exit code, or an error that main prints.
using Run = std::function<Result<int>()>;

struct Command {
  CLI::App* app;
  Run run;
};

/// --json --threads --seed --quiet.
void add_common(CLI::App& app, Common& common);
/// --calib-method --percentile.
void add_ranges(CLI::App& app, std::string& method, double& percentile);
/// --recipe LIST.
void add_recipe(CLI::App& app, std::vector<std::string>& recipe);
/// The standard methods when empty.
Result<std::vector<quant::MethodUse>> parse_recipe(const std::vector<std::string>& recipe);
/// --wide LAYER[=FORMAT], repeatable.
void add_wide(CLI::App& app, std::vector<std::string>& wide);
/// --target portable|tensorrt.
void add_target(CLI::App& app, std::string& target);
void add_tactics(CLI::App& app, std::string& tactics);
Result<quant::Target> parse_target(const std::string& name);
Result<pipeline::TacticSource> parse_tactics(const std::string& name);
/// --memory BYTES.
void add_memory(CLI::App& app, int64_t& bytes);
Result<calib::RangeOptions> parse_ranges(const std::string& method, double percentile);
Result<std::vector<verify::Gate>> parse_gates(const std::vector<std::string>& texts);

/// A bar with ETA on a terminal, a line per finished step otherwise; silent with --quiet. Goes to stderr.
Progress make_progress(const Common& common);
/// With --json: one object on the last line of stdout. Otherwise nothing.
void print_json(const Common& common, const Json& json);
/// Text for people: to stdout, or to stderr with --json so that stdout keeps its last line.
void print_text(const Common& common, const std::string& text);
/// "error: ..." to stderr; the exit code its kind has.
int print_error(const Error& error);

/// "10.4 MB".
std::string megabytes(int64_t bytes);
/// "2.58 G", "101 k", "12".
std::string count_text(int64_t count);
/// "2.85"; a very small model's "0.0178".
std::string milliseconds(double ms);

Command add_build(CLI::App& root);
Command add_inspect(CLI::App& root);
Command add_calibrate(CLI::App& root);
Command add_quantize(CLI::App& root);
Command add_run(CLI::App& root);
Command add_verify(CLI::App& root);
Command add_bench(CLI::App& root);
Command add_profile(CLI::App& root);
Command add_explain(CLI::App& root);
Command add_report(CLI::App& root);
Command add_debug(CLI::App& root);
Command add_doctor(CLI::App& root);
/// The group `data`, of which `check` is the only one.
Command add_data(CLI::App& root);

}  // namespace narrow::cli
