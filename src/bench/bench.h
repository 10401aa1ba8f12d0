// Speed of several builds, interleaved in time so that a drifting machine hits all alike.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "base/result.h"
#include "runtime/session.h"

namespace narrow::bench {

struct Record {
  std::string name;
  std::vector<double> samples_ms;                            // raw, in order
  double median_ms = 0, p90_ms = 0, p99_ms = 0, spread = 0;  // spread: (p90 - p10) / median
  double throughput = 0;                                     // samples a second
  double load_ms = 0;                                        // file to ready plan
  double first_ms = 0;                                       // the first inference
  double rss_mb = 0;  // peak of this process when the build was last measured
  int64_t arena_bytes = 0, weight_bytes = 0, bytes = 0;  // bytes: of the file
};

struct Contestant {
  std::string name;
  runtime::Session* session;
  TensorMap inputs;
  double load_ms = 0;
  int64_t bytes = 0;
};

struct BenchOptions {
  double seconds = 1;  // per contestant, all rounds together
  int rounds = 5;
  int64_t batch = 1;  // samples per inference, for the throughput
};

/// Warm-up first (not counted), then rounds that visit every contestant in rotation.
Result<std::vector<Record>> measure(const std::vector<Contestant>& contestants, const BenchOptions& options,
                                    const Progress& progress = {});

/// Fills median, percentiles, spread and throughput from the samples.
void summarize(Record& record, int64_t batch);

/// Random inputs for these shapes: standard normal floats; integers small enough for the tables they
/// pick from, masks of ones. Deterministic. Free dimensions: the first becomes `batch`, others `free`.
TensorMap random_inputs(const ir::Graph& graph, int64_t batch, int64_t free, uint64_t seed);

/// What scripts read (PRODUCT.md): median_ms p90_ms p99_ms throughput load_ms first_ms rss_mb arena_bytes
/// bytes.
Json to_json(const Record& record, bool raw = false);

/// Of this process since it began. (getrusage counts in what the process that started it had.)
double peak_rss_mb();
/// Processor, ISA, threads, load average: the header of every measurement.
Json environment(int threads);

}  // namespace narrow::bench
