#include <fmt/format.h>

#include <filesystem>

#include "calib/profile.h"
#include "cli/command.h"
#include "pipeline/model.h"
#include "pipeline/quantization.h"
#include "pipeline/variant.h"
#include "quant/apply.h"
#include "quant/given.h"
#include "quant/wide.h"
#include "verify/evaluate.h"
#include "verify/rescaled.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model, precision, calibration, data, out, method = "mse";
  std::vector<std::string> wide, recipe;
  std::string target = "portable", tactics = "tuned";
  double percentile = 99.99;
  std::optional<int64_t> group_size;
};

Result<int> run(const Options& o) {
  const auto precision = quant::parse_precision(o.precision);
  if (!precision || *precision == quant::Precision::mixed)
    return Error{
        .code = Code::usage,
        .subject = "--precision",
        .expected =
            "fp32, bf16, fp16, int8, w4a8, int8-dynamic, int8-weights, int4, int3, int2, ternary or binary",
        .got = "'" + o.precision + "'",
        .hint = "mixed needs evaluation data: narrow build"};
  const std::filesystem::path out = o.out;
  if (out.extension() != ".narrow" && out.extension() != ".onnx")
    return Error{.code = Code::usage,
                 .subject = "--out",
                 .expected = "a name that ends in .narrow or .onnx",
                 .got = "'" + o.out + "'"};
  NARROW_TRY(const std::vector<quant::MethodUse> methods, parse_recipe(o.recipe));
  NARROW_TRY(const quant::Target target, parse_target(o.target));
  NARROW_TRY(const pipeline::TacticSource tactics, parse_tactics(o.tactics));
  NARROW_TRY(const calib::RangeOptions ranges, parse_ranges(o.method, o.percentile));
  NARROW_TRY(const pipeline::Original original, pipeline::load_original(o.model));
  const pipeline::Model& model = original.model;
  const bool as_given = *precision == quant::Precision::int8 && original.given;
  if (o.calibration.empty() && quant::needs_profile(*precision) && !as_given)
    return Error{.code = Code::usage,
                 .subject = "--calibration",
                 .expected = "the file `narrow calibrate` wrote",
                 .got = "nothing"};
  calib::Profile profile;
  if (!o.calibration.empty()) {
    NARROW_TRY(profile, calib::read_profile(o.calibration));
    NARROW_DO(calib::check_origin(profile, model.hash, ""));
    if (ranges.method == calib::Method::automatic && profile.methods.empty())
      return Error{.code = Code::invalid_argument,
                   .subject = o.calibration,
                   .expected = "a method chosen for each value, for --calib-method auto",
                   .got = "none",
                   .hint = "`narrow calibrate --calib-method auto` chooses them: it needs the data"};
    if (ranges.method == calib::Method::output_error && profile.ranges.empty())
      return Error{.code = Code::invalid_argument,
                   .subject = o.calibration,
                   .expected = "a range chosen for each value, for --calib-method output-error",
                   .got = "none",
                   .hint = "`narrow calibrate --calib-method output-error` chooses them: it needs the data"};
  }
  NARROW_TRY(const quant::Wide wide, quant::parse_wide(model.graph, o.wide));
  const auto pool = std::make_shared<ThreadPool>(o.common.threads);
  quant::Recipe recipe;
  ir::Graph graph;
  if (as_given) {
    recipe = quant::given_recipe(*original.given);
    graph = original.given->clone();
  } else {
    std::unique_ptr<data::Dataset> dataset;
    if (!o.data.empty()) {
      NARROW_TRY(dataset, data::open_dataset(o.data, verify::input_specs(ir::interface_of(model.graph))));
    }
    NARROW_TRY(
        pipeline::Quantized quantized,
        pipeline::make_recipe(
            {model.graph, o.calibration.empty() ? nullptr : &profile, dataset.get()}, *precision,
            {.plan = {.ranges = ranges, .target = target, .group_size = o.group_size}, .methods = methods},
            pool, wide, make_progress(o.common)));
    NARROW_TRY(graph, quant::apply(quantized.graph(model.graph), quantized.recipe));
    if (quantized.prepared != nullptr) verify::note_rescaled(graph, quantized.prepared->rescaled);
    recipe = std::move(quantized.recipe);
  }
  if (target == quant::Target::tensorrt) NARROW_DO(pipeline::check_tensorrt(graph, o.out));
  NARROW_DO(pipeline::write_variant(
      graph, recipe,
      {{"tool", "narrow 0.1.0"}, {"model", model.hash}, {"calibration_data", profile.data_hash}}, out, {},
      tactics, pool));
  std::error_code error;
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(out, error));
  std::string text =
      fmt::format("{}: {} ({} of {})\n", o.out, o.precision, megabytes(bytes), megabytes(model.file_bytes));
  for (const std::string& note : original.notes) text += note + "\n";
  for (const std::string& note : recipe.notes) text += note + "\n";
  print_text(o.common, text);
  Json json = {
      {"file", o.out}, {"bytes", bytes}, {"model_bytes", model.file_bytes}, {"recipe", to_json(recipe)}};
  if (original.given) json["given_pairs"] = to_json(original.pairs);
  print_json(o.common, json);
  return kDone;
}

}  // namespace

Command add_quantize(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("quantize", "one precision from a model and its calibration");
  app->description(
      "Writes MODEL in one precision: a .narrow file for narrow's engine or a portable .onnx (Q/DQ for "
      "integers).");
  app->add_option("MODEL", o->model, "FP32 .onnx file")->required();
  app->add_option(
         "--precision", o->precision,
         "fp32, bf16, fp16, int8, w4a8, int8-dynamic, int8-weights, int4, int3, int2, ternary or binary")
      ->required();
  app->add_option("--calibration", o->calibration,
                  "the file `narrow calibrate` wrote (int8 and fp16 need it)");
  app->add_option(
      "--data", o->data,
      "representative inputs, for methods that look at them (gptq); without it weights are rounded to "
      "the nearest codes");
  add_recipe(*app, o->recipe);
  app->add_option("--group-size", o->group_size,
                  "weights that share a scale in int4 and other weight-only formats (default 32) or a step "
                  "in w4a8 (default 16); 0: "
                  "those of a result channel")
      ->check(CLI::Range(2, 65536) | CLI::IsMember({0}));
  app->add_option("--out", o->out, "FILE.narrow or FILE.onnx")->required();
  add_wide(*app, o->wide);
  add_target(*app, o->target);
  add_tactics(*app, o->tactics);
  add_ranges(*app, o->method, o->percentile);
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
