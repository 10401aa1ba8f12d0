// manifest.json: where everything came from, every figure, the decision and its reasons.
#pragma once

#include "base/json.h"
#include "pipeline/build.h"

namespace narrow::pipeline {

Json make_manifest(const BuildOptions& options, const BuildResult& result, const ir::Graph& graph,
                   int threads);

}  // namespace narrow::pipeline
