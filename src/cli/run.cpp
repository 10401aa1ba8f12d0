#include <fmt/format.h>

#include "cli/command.h"
#include "data/npz.h"
#include "runtime/session.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::string model, input, output;
};

Result<int> run(const Options& o) {
  auto pool = std::make_shared<ThreadPool>(o.common.threads);
  NARROW_TRY(runtime::Session session, runtime::Session::open(o.model, pool));
  NARROW_TRY(const TensorMap inputs, data::read_npz(o.input));
  NARROW_TRY(const TensorMap outputs, session.run(inputs));
  NARROW_DO(data::write_npz(o.output, outputs));
  Json json = {{"output", o.output}, {"outputs", Json::object()}};
  std::string text;
  for (const auto& [name, tensor] : outputs) {
    json["outputs"][name] = {{"dtype", to_string(tensor.dtype())}, {"shape", tensor.shape()}};
    text += fmt::format("{}: {}{}\n", name, to_string(tensor.dtype()), to_string(tensor.shape()));
  }
  if (!o.common.quiet) print_text(o.common, text);
  print_json(o.common, json);
  return kDone;
}

}  // namespace

Command add_run(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("run", "run a model or artifact on arrays");
  app->description(
      "Runs an .onnx or .narrow file on the arrays of an .npz (named like the inputs) and writes the outputs "
      "as .npz.");
  app->add_option("MODEL", o->model, ".onnx or .narrow file")->required();
  app->add_option("--input", o->input, ".npz with an array per input")->required();
  app->add_option("--output", o->output, ".npz to write")->required();
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
