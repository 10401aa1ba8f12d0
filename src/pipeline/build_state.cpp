#include "pipeline/build_state.h"

#include <algorithm>

namespace narrow::pipeline {

bool BuildState::wants(quant::Precision precision) const {
  return std::find(options.precisions.begin(), options.precisions.end(), precision) !=
         options.precisions.end();
}

bool BuildState::has_int8() const {
  return std::any_of(result.builds.begin(), result.builds.end(),
                     [](const Build& b) { return b.precision == quant::Precision::int8; });
}

bool BuildState::gates_answers() const {
  return std::any_of(options.gates.begin(), options.gates.end(), verify::is_about_answers);
}

const ir::Graph& BuildState::answers_of(const Variant& variant) const {
  return variant.prepared != nullptr ? variant.prepared->answers() : model.graph;
}

const ir::Graph& BuildState::graph_of(const Variant& variant) const {
  return variant.prepared != nullptr ? variant.prepared->graph : model.graph;
}

const calib::Profile& BuildState::profile_of(const Variant& variant) const {
  return variant.prepared != nullptr ? variant.prepared->profile : profile;
}

}  // namespace narrow::pipeline
