
#include <fmt/format.h>

#include "base/file.h"
#include "cli/command.h"
#include "data/dataset.h"
#include "pipeline/calibration.h"
#include "pipeline/model.h"
#include "tensorrt/calibration_cache.h"
#include "verify/evaluate.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model, data, out, method = "mse", tensorrt_cache;
  int64_t samples = 0, memory = 0;
  double percentile = 99.99;
};

/// The ranges as TensorRT's implicit quantization reads them.
Status write_tensorrt_cache(const std::string& path, const calib::Profile& profile,
                            const calib::RangeOptions& ranges) {
  std::map<std::string, float> scales;
  for (const auto& [name, value] : profile.values) {
    const calib::Range range = calib::range_of(profile, name, ranges);
    scales[name] = tensorrt::cache_scale(range.low, range.high);
  }
  NARROW_TRY(const std::string text, tensorrt::calibration_cache(scales));
  return write_file(path, text);
}

Result<int> run(const Options& o) {
  NARROW_TRY(const pipeline::Original original, pipeline::load_original(o.model));
  const pipeline::Model& model = original.model;
  NARROW_TRY(const auto dataset,
             data::open_dataset(o.data, verify::input_specs(ir::interface_of(model.graph))));
  auto pool = std::make_shared<ThreadPool>(o.common.threads);
  NARROW_TRY(const calib::RangeOptions ranges, parse_ranges(o.method, o.percentile));
  NARROW_TRY(const calib::Profile profile,
             pipeline::calibrate_model(model, *dataset, pool, {.samples = o.samples, .memory = o.memory},
                                       ranges, make_progress(o.common)));
  NARROW_DO(calib::write_profile(o.out, profile));
  if (!o.tensorrt_cache.empty()) NARROW_DO(write_tensorrt_cache(o.tensorrt_cache, profile, ranges));
  print_text(o.common,
             fmt::format("{} values over {} samples: {}\n", profile.values.size(), profile.samples, o.out));
  print_json(o.common, {{"file", o.out},
                        {"values", profile.values.size()},
                        {"samples", profile.samples},
                        {"model", profile.model_hash},
                        {"data", profile.data_hash}});
  return kDone;
}

}  // namespace

Command add_calibrate(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app =
      root.add_subcommand("calibrate", "record what a model's values do on representative inputs");
  app->description(
      "Runs the FP32 model over the data and writes a distribution per value, keyed to the hashes of model "
      "and data.\nThe method that turns distributions into ranges is named later, by quantize; only auto "
      "and output-error, which need the data, choose here.");
  app->add_option("MODEL", o->model, "FP32 .onnx file")->required();
  app->add_option("--data", o->data, "representative inputs")->required();
  app->add_option("--out", o->out, "calibration.json to write")->required();
  app->add_option("--samples", o->samples, "use only the first N samples")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  add_ranges(*app, o->method, o->percentile);
  add_memory(*app, o->memory);
  app->add_option("--tensorrt-cache", o->tensorrt_cache,
                  "also write the ranges as TensorRT's calibration.cache");
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
