#include "cli/command.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/printable.h"

namespace narrow::cli {

void add_common(CLI::App& app, Common& common) {
  app.add_flag("--json", common.json, "the result as one JSON object on the last line of stdout");
  app.add_flag("--quiet", common.quiet, "no progress");
  app.add_option("--threads", common.threads, "threads to use (default: one per core)")
      ->check(CLI::Range(0, 1024));
  app.add_option("--seed", common.seed, "of random inputs and of the bootstrap (default 1)");
}

void add_ranges(CLI::App& app, std::string& method, double& percentile) {
  app.add_option(
      "--calib-method", method,
      "how ranges follow from the data: minmax, percentile, mse (default), entropy, moving-average, auto: "
      "for "
      "each value the one that disturbs the outputs least, or output-error: for each value the range that "
      "errs least in what the layers behind it answer");
  app.add_option("--percentile", percentile,
                 "share of values kept by --calib-method percentile, in percent (default 99.99)")
      ->check(CLI::Range(50.0, 100.0));
}

void add_recipe(CLI::App& app, std::vector<std::string>& recipe) {
  app.add_option(
         "--recipe", recipe,
         "methods in order, with settings: rotate, equalize, absorb-bias, smooth, awq, then gptq, hqq or "
         "nearest (default "
         "equalize,gptq); for example gptq(damping=0.02,samples=64)")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Result<std::vector<quant::MethodUse>> parse_recipe(const std::vector<std::string>& recipe) {
  if (recipe.empty()) return quant::standard_methods();
  return quant::parse_methods(fmt::format("{}", fmt::join(recipe, ",")));
}

void add_wide(CLI::App& app, std::vector<std::string>& wide) {
  app.add_option("--wide", wide,
                 "LAYER[=FORMAT], repeatable: a layer (ONNX node name) that is fp32 (default), fp16, bf16, "
                 "int8-dynamic, int8-weights, int4, int3, int2, ternary, binary or w4a8 instead")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_target(CLI::App& app, std::string& target) {
  app.add_option("--target", target,
                 "whose rules files obey: portable (default), or tensorrt: symmetric int8, zero points 0");
}

Result<quant::Target> parse_target(const std::string& name) {
  if (name == "portable") return quant::Target::portable;
  if (name == "tensorrt") return quant::Target::tensorrt;
  return Error{.code = Code::usage,
               .subject = "--target",
               .expected = "portable or tensorrt",
               .got = "'" + name + "'"};
}

void add_tactics(CLI::App& app, std::string& tactics) {
  app.add_option(
      "--tactics", tactics,
      "how a layer's kernel is chosen: tuned (default: timed on this machine, remembered in the cache), or "
      "pinned: by the kernels' order of preference, the same file every time");
}

Result<pipeline::TacticSource> parse_tactics(const std::string& name) {
  if (name == "tuned") return pipeline::TacticSource::tuned;
  if (name == "pinned") return pipeline::TacticSource::pinned;
  return Error{
      .code = Code::usage, .subject = "--tactics", .expected = "tuned or pinned", .got = "'" + name + "'"};
}

void add_memory(CLI::App& app, int64_t& bytes) {
  app.add_option("--memory", bytes,
                 "what calibration may take beside the weights, in bytes or as 512M, 2G: smaller batches")
      ->transform(CLI::AsSizeValue(false));
}

Result<calib::RangeOptions> parse_ranges(const std::string& method, double percentile) {
  const auto parsed = calib::parse_method(method);
  if (!parsed)
    return Error{.code = Code::usage,
                 .subject = "--calib-method",
                 .expected = "minmax, percentile, mse, entropy, moving-average, auto or output-error",
                 .got = "'" + method + "'"};
  return calib::RangeOptions{.method = *parsed, .percentile = percentile, .levels = 256};
}

Result<std::vector<verify::Gate>> parse_gates(const std::vector<std::string>& texts) {
  std::vector<verify::Gate> gates;
  for (const std::string& text : texts) {
    NARROW_TRY(verify::Gate gate, verify::parse_gate(text));
    gates.push_back(std::move(gate));
  }
  return gates;
}

namespace {

/// State of the bar between calls.
struct Bar {
  std::string step;
  Stopwatch watch;
  double last_drawn = -1;
  bool finished = false;
};

std::string eta(double seconds) {
  return seconds < 99 ? fmt::format("{:.0f} s", seconds) : fmt::format("{:.0f} min", seconds / 60);
}

void draw(Bar& bar, int64_t done, int64_t total) {
  constexpr int kWidth = 24;
  const double elapsed = bar.watch.seconds();
  if (done < total && elapsed - bar.last_drawn < 0.1) return;
  bar.last_drawn = elapsed;
  const auto filled = static_cast<int>(kWidth * done / std::max<int64_t>(total, 1));
  std::string line;
  for (int i = 0; i < kWidth; ++i) line += i < filled ? "━" : " ";
  const double left = done > 0 ? elapsed / static_cast<double>(done) * static_cast<double>(total - done) : 0;
  fmt::print(stderr, "\r{:<14} {} {:>6} / {} {}   ", bar.step, line, done, total,
             done == total ? fmt::format("{:.1f} s      ", elapsed)
             : done > 0    ? "ETA " + eta(left)
                           : "");
  std::fflush(stderr);
}

}  // namespace

Progress make_progress(const Common& common) {
  if (common.quiet) return {};
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  const auto log =
      std::make_shared<spdlog::logger>("narrow", std::make_shared<spdlog::sinks::stderr_sink_st>());
  log->set_pattern("%H:%M:%S %v");  // when standard error is a file
  return [bar = std::make_shared<Bar>(), log, terminal](std::string_view step, int64_t done, int64_t total) {
    if (bar->step != step || (bar->finished && done < total)) {
      if (terminal && !bar->step.empty() && !bar->finished) fmt::print(stderr, "\r{:70}\r", "");
      *bar = Bar{.step = std::string(step), .watch = {}, .last_drawn = -1, .finished = false};
      if (!terminal && total == 0) log->info("{}", step);
    }
    if (total == 0) {
      if (terminal) fmt::print(stderr, "\r{:<60}", bar->step);
      return;
    }
    if (terminal) draw(*bar, done, total);
    if (done < total || bar->finished) return;
    bar->finished = true;
    if (terminal)
      fmt::print(stderr, "\n");
    else
      log->info("{}: {} in {:.1f} s", step, total, bar->watch.seconds());
  };
}

void print_json(const Common& common, const Json& json) {
  if (common.json) fmt::print("{}\n", json_text(json));
  std::fflush(stdout);
}

void print_text(const Common& common, const std::string& text) {
  fmt::print(common.json ? stderr : stdout, "{}", printable(text, "\n"));
  std::fflush(common.json ? stderr : stdout);
}

int print_error(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message());
  return error.code == Code::usage ? kUsage : kError;
}

std::string milliseconds(double ms) {
  return ms < 0.1 ? fmt::format("{:.4f}", ms) : fmt::format("{:.2f}", ms);
}

std::string count_text(int64_t count) {
  const auto x = static_cast<double>(count);
  if (x >= 1e9) return fmt::format("{:.2f} G", x / 1e9);
  if (x >= 1e6) return fmt::format("{:.1f} M", x / 1e6);
  return x >= 1e3 ? fmt::format("{:.0f} k", x / 1e3) : fmt::format("{}", count);
}

std::string megabytes(int64_t bytes) {
  return bytes < 1000000 ? fmt::format("{:.0f} kB", static_cast<double>(bytes) / 1e3)
                         : fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

}  // namespace narrow::cli
