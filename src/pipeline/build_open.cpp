#include "pipeline/build_stages.h"

#include "pipeline/calibration.h"
#include "runtime/states.h"

namespace narrow::pipeline {
namespace {

/// Wrong gates are named before anything is computed.
Status begin_proof(BuildState& s) {
  if (s.options.proof != verify::Proof::sequential) return {};
  if (!s.eval || !s.options.metric_command.empty())
    return Error{.code = Code::usage,
                 .subject = "--proof sequential",
                 .expected = "samples to judge on one by one (--eval, without --metric-cmd)",
                 .got = s.eval ? "--metric-cmd, which asks for all of them" : "no --eval",
                 .hint = s.eval ? "--proof point" : ""};
  NARROW_TRY(s.proof,
             SequentialProof::create(s.options.gates, *s.eval, s.options.seed, s.options.layer_samples));
  return {};
}

}  // namespace

Status open_inputs(BuildState& s) {
  report(s.progress, "import", 0, 0);
  NARROW_TRY(Original original, load_original(s.options.model));
  s.model = std::move(original.model);
  s.given = std::move(original.given);
  s.result.notes = std::move(original.notes);
  s.result.given_pairs = std::move(original.pairs);
  NARROW_TRY(s.wide, quant::parse_wide(s.model.graph, s.options.wide));
  s.result.summary = summarize(s.model.graph);
  s.result.model_hash = s.model.hash;
  s.result.passes = s.model.passes;
  const auto inputs = verify::input_specs(ir::interface_of(s.model.graph));
  NARROW_TRY(s.calib, data::open_dataset(s.options.calib, inputs));
  s.result.calib_hash = s.calib->info().hash;
  if (!s.options.eval.empty()) {
    NARROW_TRY(s.eval, data::open_dataset(s.options.eval, inputs));
    s.result.eval_hash = s.eval->info().hash;
  }
  NARROW_DO(begin_proof(s));
  NARROW_TRY(const data::Batch sample, s.calib->read(0, s.calib->batch_of(1), *s.pool));
  NARROW_TRY(const runtime::CarriedStates states,
             runtime::CarriedStates::create(s.calib->info().states, ir::interface_of(s.model.graph)));
  for (const auto& [name, tensor] : states.with(sample.inputs)) s.shapes[name] = tensor.shape();
  s.origin = {{"tool", "narrow 0.1.0"}, {"model", s.model.hash}, {"calibration_data", s.calib->info().hash}};
  return {};
}

Status calibrate_inputs(BuildState& s) {
  NARROW_TRY(s.profile, calibrate_model(s.model, *s.calib, s.pool, {.memory = s.options.memory},
                                        s.options.ranges, s.progress));
  s.result.calib_samples = s.profile.samples;
  return calib::write_profile(s.folder / "calibration.json", s.profile);
}

}  // namespace narrow::pipeline
