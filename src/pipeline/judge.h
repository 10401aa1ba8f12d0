// Would a build of this recipe hold the gates? Builds in memory, one after the other, against one FP32.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "parallel/thread_pool.h"
#include "pipeline/quantization.h"
#include "verify/figures.h"
#include "verify/gate.h"
#include "verify/reference_answers.h"
#include "verify/sequential_builds.h"

namespace narrow::pipeline {

struct JudgeOptions {
  std::vector<verify::Gate> gates = {};  // those about time and size are left out
  verify::Proof proof = verify::Proof::point;
  double level = 0.95;              // of the interval that decides with Proof::ci
  uint64_t seed = 1;                // of the bootstrap
  std::string metric_command = {};  // empty: none
  int64_t samples = 0;              // of the evaluation data, spread over it; 0: all
  std::vector<int64_t> units = {};  // with Proof::sequential: the order samples are taken in
};

struct Judgement {
  verify::Figures figures;
  std::optional<double> custom_metric;
  std::vector<verify::GateResult> gates;
  std::vector<double> slack;  // of each gate, in its unit: how far inside its bound; negative: outside
  bool holds = false;         // every gate passed
  double seconds = 0;         // to build, run and score; 0: remembered

  double sqnr_db() const { return figures.by_name.at("sqnr").value; }
  /// Share of the noise power at the outputs in FP32's power: 10^(-sqnr/10). 1e20 where outputs are NaN or
  /// Inf.
  double noise() const;
  /// "top1.drop 0.86 pp > 0.5 pp; sqnr 25 dB >= 20 dB".
  std::string reasons() const;
};

class Judge {
 public:
  /// `fp32` and `eval` must outlive it. FP32 answers here, once. Errors: those of the data and the engine.
  static Result<Judge> create(const ir::Graph& fp32, const data::Dataset& eval, JudgeOptions options,
                              std::shared_ptr<ThreadPool> pool, const Progress& progress = {});

  /// Applies the recipe, runs it (kernels by their order of preference, no files), asks the gates. A recipe
  /// that was judged before is remembered. Errors: those of quant::apply(), of the engine, and of gates that
  /// cannot be computed.
  Result<Judgement> judge(const Quantized& build);
  /// The same of a graph that is quantized already.
  Result<Judgement> judge_graph(const ir::Graph& graph);

  int64_t samples() const { return answers_->samples(); }
  int64_t judged() const { return static_cast<int64_t>(known_.size()); }  // different recipes
  const JudgeOptions& options() const { return options_; }

 private:
  Judge(const ir::Graph& fp32, JudgeOptions options, std::shared_ptr<ThreadPool> pool)
      : fp32_(&fp32), options_(std::move(options)), pool_(std::move(pool)) {}

  Result<Judgement> judge_in_order(runtime::Session& build);
  Status ask_gates(const verify::Measured& measured, const verify::SequentialBuild* in_order,
                   Judgement& judgement) const;

  const ir::Graph* fp32_;
  JudgeOptions options_;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<runtime::Session> reference_;  // with Proof::sequential; answers_ ask it
  std::optional<verify::ReferenceAnswers> answers_;
  std::optional<double> custom_reference_;
  std::map<std::pair<std::shared_ptr<const Prepared>, std::string>, Judgement> known_;  // by quant::digest()
};

}  // namespace narrow::pipeline
