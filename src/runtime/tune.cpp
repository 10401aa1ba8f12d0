#include "runtime/tune.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/aligned.h"
#include "base/clock.h"
#include "runtime/filler.h"
#include "runtime/merging.h"
#include "runtime/tune_plan.h"

namespace narrow::runtime {
namespace {

constexpr size_t kMostCandidates = 3;  // later ones of the table are of older instruction sets
constexpr int kMostRepetitions = 15;
constexpr double kEnoughMs = 20;  // per candidate
constexpr double kFloatMargin = 0.9, kMargin = 0.97;

class Tuner {
 public:
  Tuner(const PlanOptions& options, ThreadPool& pool)
      : options_(options),
        pool_(pool),
        flush_(AlignedBuffer::zeroed(pool.threads() * 2 * cpu_features().l2_bytes)) {}

  /// Fastest first; fewer than two where there was nothing to choose.
  Tactic time(const ir::Node& node) {
    PackCache packs;
    const NodeCase c{.node = node, .isa = options_.isa, .threads = options_.threads, .packs = &packs};
    std::vector<const Implementation*> candidates;
    for (const Implementation& candidate : implementations(node.op()))
      if (serves(candidate) && candidates.size() < kMostCandidates && candidate.unsupported(c).empty())
        candidates.push_back(&candidate);
    Tactic tactic;
    if (candidates.size() < 2) return tactic;
    prepare(node);
    for (const Implementation* candidate : candidates) {
      auto kernel = candidate->create(c);
      if (!kernel.ok()) continue;
      tactic.push_back(
          {candidate->name, measure(**kernel, tactic.empty() ? 0 : tactic.front().microseconds)});
    }
    put_fastest_first(tactic, has_float_result(node) ? kFloatMargin : kMargin);
    return tactic;
  }

 private:
  /// Plain loops lose wherever there are vectors, and take long to do so.
  bool serves(const Implementation& candidate) const {
    const bool slow = candidate.isa == Isa::plain && options_.isa > Isa::plain;
    return includes(options_.isa, candidate.isa) && !slow && candidate.name != "reference";
  }
  void prepare(const ir::Node& node) {
    inputs_.clear(), outputs_.clear(), sources_.clear(), targets_.clear();
    for (const ir::Value* input : node.inputs()) {
      inputs_.push_back(input == nullptr || input->is_constant() ? AlignedBuffer() : filler(input->type));
      const bool constant = input != nullptr && input->is_constant();
      sources_.push_back(input == nullptr ? nullptr
                         : constant       ? input->constant().raw()
                                          : inputs_.back().data());
    }
    for (const ir::Value* output : node.outputs()) {
      outputs_.emplace_back(elements_of(output->type.shape()) * bytes_of(output->type.dtype));
      targets_.push_back(outputs_.back().data());
    }
  }

  /// Reads more than L2 holds on every thread, then the step's inputs again.
  void cool() {
    const int64_t share = flush_.bytes() / pool_.threads();
    pool_.run(pool_.threads(), [&](int64_t i) { touch(flush_, i * share, (i + 1) * share); });
    for (const AlignedBuffer& input : inputs_)
      pool_.run(pool_.threads(), [&](int64_t i) {
        touch(input, input.bytes() * i / pool_.threads(), input.bytes() * (i + 1) / pool_.threads());
      });
  }
  static void touch(const AlignedBuffer& buffer, int64_t first, int64_t end) {
    uint64_t sum = 0;
    for (int64_t at = first; at < end; at += kCacheLine) sum += std::to_integer<uint64_t>(buffer.data()[at]);
    asm volatile("" : : "r"(sum));
  }

  double measure(const Kernel& kernel, double best) {
    if (scratch_.bytes() < kernel.scratch_bytes()) scratch_ = AlignedBuffer(kernel.scratch_bytes());
    const StepBuffers buffers{.inputs = sources_, .outputs = targets_, .scratch = scratch_.data()};
    double least = 0, spent = 0;
    for (int i = 0; i < kMostRepetitions && spent < kEnoughMs; ++i) {
      cool();
      const Stopwatch watch;
      if (!kernel.run(buffers, pool_).ok()) break;
      const double ms = watch.milliseconds();
      least = i == 0 ? ms : std::min(least, ms);
      spent += ms;
      if (i == 2 && best > 0 && least * 1000 > 3 * best) break;  // lost
    }
    return least * 1000;
  }

  const PlanOptions& options_;
  ThreadPool& pool_;
  AlignedBuffer flush_, scratch_;
  std::vector<AlignedBuffer> inputs_, outputs_;
  std::vector<const void*> sources_;
  std::vector<void*> targets_;
};

bool has_convolutions(const ir::Graph& graph) {
  const std::vector<ir::Node*> nodes = graph.nodes();
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const ir::Node* node) { return node->op() == ir::Op::FusedConv; });
}

/// Kernels of the steps, and the choices made once for this graph.
Tactics tune_graph(const ir::Graph& graph, const PlanOptions& options, ThreadPool& pool, TacticCache& cache) {
  Tactics tactics{machine_key(options.isa), {}};
  Tuner tuner(options, pool);
  for (const ir::Node* node : graph.nodes()) {
    if (node->op() != ir::Op::FusedConv && node->op() != ir::Op::FusedMatMul) continue;
    const std::string key = case_key(*node);
    const Tactic* known = cache.find(key);
    Tactic tactic = known != nullptr ? *known : tuner.time(*node);
    if (tactic.size() < 2) continue;
    if (known == nullptr) cache.add(key, tactic);
    tactics.cases[key] = std::move(tactic);
  }
  const auto answer = [&](const std::string& key, const char* usual, const char* other) {
    const auto answered = [&](const char* name) {
      PlanAnswer one{name, graph, tactics};
      one.tactics.cases[key] = {{name, 0}};
      return one;
    };
    const Tactic* known = cache.find(key);
    Tactic tactic = known != nullptr ? *known : time_plans({answered(usual), answered(other)}, options, pool);
    if (tactic.size() < 2) return;
    if (known == nullptr) cache.add(key, tactic);
    tactics.cases[key] = std::move(tactic);
  };
  const PlanKeys keys(graph);
  if (has_bands(plan_slices(graph, graph.nodes(), options.slices, options.threads)))
    answer(keys.bands, kInBands, kWholeImages);
  if (has_convolutions(graph)) answer(keys.fetching, kOnDemand, kFetchedAhead);
  return tactics;
}

}  // namespace

Tactics tune(const ir::Graph& graph, const PlanOptions& options, ThreadPool& pool, TacticCache& cache) {
  const std::optional<ir::Graph> merged = with_merged_convolutions(graph);
  if (!merged) return tune_graph(graph, options, pool, cache);
  const std::string key = PlanKeys(graph).merging;
  if (cache.find(key) == nullptr) {
    const PlanAnswer apart{kApart, graph, tune_graph(graph, options, pool, cache)},
        as_one{kMerged, *merged, tune_graph(*merged, options, pool, cache)};
    Tactic timed = time_plans({apart, as_one}, options, pool);
    if (timed.size() < 2) return apart.tactics;
    // The file grows by it: what won for a moment has to win again.
    if (timed[0].kernel == kMerged) timed = time_plans({apart, as_one}, options, pool);
    if (timed.size() < 2) return apart.tactics;
    cache.add(key, std::move(timed));
  }
  const Tactic tactic = *cache.find(key);
  const bool wins = tactic[0].kernel == kMerged;
  Tactics tactics = tune_graph(wins ? *merged : graph, options, pool, cache);
  tactics.cases[key] = tactic;
  if (wins)
    tactics.cases[PlanKeys(*merged).merging] = tactic;  // for `narrow explain`: the graph before is gone
  return tactics;
}

}  // namespace narrow::runtime
