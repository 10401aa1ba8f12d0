#include "bench/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/random.h"

namespace narrow::bench {
namespace {

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(std::lround(share * static_cast<double>(sorted.size() - 1)))];
}

Result<double> time_once(const Contestant& c) {
  const Stopwatch watch;
  NARROW_DO(c.session->run(c.inputs));
  return watch.milliseconds();
}

}  // namespace

void summarize(Record& record, int64_t batch) {
  std::vector<double> sorted = record.samples_ms;
  std::sort(sorted.begin(), sorted.end());
  record.median_ms = percentile(sorted, 0.5);
  record.p90_ms = percentile(sorted, 0.9);
  record.p99_ms = percentile(sorted, 0.99);
  record.spread = record.median_ms > 0 ? (record.p90_ms - percentile(sorted, 0.1)) / record.median_ms : 0;
  record.throughput = record.median_ms > 0 ? static_cast<double>(batch) * 1e3 / record.median_ms : 0;
}

Result<std::vector<Record>> measure(const std::vector<Contestant>& contestants, const BenchOptions& options,
                                    const Progress& progress) {
  std::vector<Record> records;
  for (const Contestant& c : contestants) {
    Record record;
    record.name = c.name;
    record.load_ms = c.load_ms;
    record.bytes = c.bytes;
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : c.inputs) shapes[name] = tensor.shape();
    const Stopwatch planning;
    NARROW_DO(c.session->prepare(shapes));
    record.load_ms += planning.milliseconds();
    NARROW_TRY(record.first_ms, time_once(c));
    NARROW_TRY(const runtime::PlanInfo info, c.session->plan_info(shapes));
    record.arena_bytes = info.arena_bytes;
    record.weight_bytes = info.weight_bytes;
    records.push_back(std::move(record));
  }
  for (int round = 0; round < options.rounds; ++round)
    for (size_t k = 0; k < contestants.size(); ++k) {
      const size_t i = (k + static_cast<size_t>(round)) % contestants.size();
      report(progress, "bench", round * static_cast<int64_t>(contestants.size()) + static_cast<int64_t>(k),
             options.rounds * static_cast<int64_t>(contestants.size()));
      for (int warm = 0; warm < 2; ++warm) NARROW_DO(time_once(contestants[i]));
      const Stopwatch watch;
      do {
        NARROW_TRY(const double ms, time_once(contestants[i]));
        records[i].samples_ms.push_back(ms);
      } while (watch.seconds() < options.seconds / options.rounds);
      records[i].rss_mb = peak_rss_mb();
    }
  report(progress, "bench", 1, 1);
  for (Record& record : records) summarize(record, options.batch);
  return records;
}

namespace {

constexpr int64_t kManyTokens = 100;  // fewer than any vocabulary

/// How many rows the smallest table has that integers of `value` pick from, or `least`.
int64_t table_rows(const ir::Value* value, int64_t least) {
  using ir::Op;
  for (const ir::Use& use : value->uses()) {
    const Op op = use.node->op();
    const bool moves = op == Op::Cast || op == Op::Reshape || op == Op::Unsqueeze || op == Op::Squeeze ||
                       op == Op::Transpose || op == Op::Identity || op == Op::Flatten || op == Op::Slice ||
                       op == Op::Gather;
    if (op == Op::Gather && use.index == 1) {
      const ir::TensorType& table = use.node->input(0)->type;
      const int64_t axis = use.node->int_attr("axis", 0), at = axis < 0 ? axis + table.rank() : axis;
      if (at >= 0 && at < table.rank() && table.dims[static_cast<size_t>(at)].known())
        least = std::min(least, table.dims[static_cast<size_t>(at)].value);
    } else if (moves && use.index == 0) {
      least = table_rows(use.node->output(), least);
    }
  }
  return std::max<int64_t>(least, 1);
}

/// Symbols that are the first axis of some input: the batch, wherever they stand.
std::set<std::string> batch_symbols(const ir::Graph& graph) {
  std::set<std::string> symbols;
  for (const ir::Value* input : graph.inputs())
    if (!input->type.dims.empty() && !input->type.dims[0].symbol.empty())
      symbols.insert(input->type.dims[0].symbol);
  return symbols;
}

}  // namespace

TensorMap random_inputs(const ir::Graph& graph, int64_t batch, int64_t free, uint64_t seed) {
  TensorMap inputs;
  Random random(seed);
  const std::set<std::string> batches = batch_symbols(graph);
  for (const ir::Value* input : graph.inputs()) {
    Shape shape;
    for (size_t i = 0; i < input->type.dims.size(); ++i) {
      const ir::Dim& dim = input->type.dims[i];
      shape.push_back(dim.known() ? dim.value : i == 0 || batches.contains(dim.symbol) ? batch : free);
    }
    Tensor tensor = Tensor::allocate(DType::f32, shape);
    const bool mask = input->name.find("mask") != std::string::npos, integer = !is_float(input->type.dtype);
    const int64_t most =
        integer && input->type.dtype != DType::u8 ? table_rows(input, kManyTokens + 1) - 1 : kManyTokens;
    for (float& x : tensor.mutable_data<float>())
      x = mask      ? 1.0F
          : integer ? static_cast<float>(random.integer(0, most))
                    : static_cast<float>(random.normal());
    inputs[input->name] = cast(tensor, input->type.dtype);
  }
  return inputs;
}

Json to_json(const Record& r, bool raw) {
  Json json = {{"median_ms", r.median_ms},
               {"p90_ms", r.p90_ms},
               {"p99_ms", r.p99_ms},
               {"spread", r.spread},
               {"throughput", r.throughput},
               {"load_ms", r.load_ms},
               {"first_ms", r.first_ms},
               {"rss_mb", r.rss_mb},
               {"arena_bytes", r.arena_bytes},
               {"weight_bytes", r.weight_bytes},
               {"bytes", r.bytes}};
  if (raw) json["samples_ms"] = r.samples_ms;
  return json;
}

double peak_rss_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

Json environment(int threads) {
  const CpuFeatures& cpu = cpu_features();
  double load = 0;
  if (getloadavg(&load, 1) != 1) load = 0;
  return {{"processor", cpu.model},
          {"isa", to_string(usable_isa())},
          {"cores", cpu.cores},
          {"threads", threads},
          {"load_average", load}};
}

}  // namespace narrow::bench
