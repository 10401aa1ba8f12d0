// What a search for a mix starts from: the builds in one format throughout.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "calib/profile.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "pipeline/quantization.h"
#include "search/mix.h"
#include "verify/layers.h"

namespace narrow::pipeline {

/// A build in one format throughout, as far as it goes.
struct UniformBuild {
  quant::NodeFormat format;
  /// Its plan for the graph that int8 is for, which says which layers have the format; codes and scales of
  /// int8-dynamic and weight-only layers come from here.
  quant::Recipe recipe = {};
  std::map<std::string, double> ms = {};  // by layer name (layer_times())
  double noise = 0;                       // Judgement::noise(); 0 for fp32
  bool holds = false;                     // the gates about answers
};

struct MixInput {
  const ir::Graph& original;
  const calib::Profile& profile;
  const data::Dataset& calib;
  const std::map<std::string, Shape>& shapes;  // of one sample
  const Quantized& int8;
  const std::vector<verify::LayerReport>& int8_layers;
  std::vector<UniformBuild> builds;  // fp32 and int8 among them

  const ir::Graph& graph() const { return int8.graph(original); }
  const UniformBuild* build(quant::NodeFormat format) const;
};

/// Layers that int8 stores in integers, and norms and attentions, which it leaves in FP32 (float_units.h);
/// those that nobody asked a format for, in the order of the graph; no choices. `shapes`: of the inputs.
std::vector<search::MixLayer> mix_layers(const ir::Graph& graph, const quant::Recipe& int8,
                                         const std::map<std::string, Shape>& shapes,
                                         const quant::Wide& pinned);

/// A layer that int8 leaves in FP32: its choices are FP32 and half formats.
inline bool is_float_unit(const search::MixLayer& layer) { return !layer.able.empty(); }

/// All nodes of the layer that can have a format get this one, the node that makes its result the reason.
void give_format(const search::MixLayer& layer, const quant::WideLayer& wide, quant::Wide& formats);

/// The int8 build with these layers in other formats: every layer keeps the codes it has in the uniform build
/// of its format. Errors: those of quant::plan().
Result<Quantized> with_formats(const MixInput& input, const quant::PlanOptions& plan,
                               const quant::Wide& formats);

}  // namespace narrow::pipeline
