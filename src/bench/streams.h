// Throughput: several sessions of a build at the same time, each on a pool of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace narrow::bench {

/// One build, opened once per stream.
struct Streamed {
  std::string name;
  std::vector<runtime::Session*> sessions;
  TensorMap inputs;
  double load_ms = 0;  // opening the first
  int64_t bytes = 0;
};

/// From when to when one inference ran, in seconds of a clock that all streams share.
struct Inference {
  double begin, end;
};

/// What streams did while all of them ran: from the last one's first inference to the first one's last.
struct Together {
  double seconds = 0;
  double inferences = 0;             // one that the edges cut counts as the part inside
  std::vector<double> latencies_ms;  // of those that ended inside, stream by stream
};

/// `streams`: the inferences of each, at least one, in order.
Together common_window(const std::vector<std::vector<Inference>>& streams);

/// As measure(), but a visit runs every session of a build at the same time: stream i calls from a thread of
/// its own, kept on the processor of pools[i], which is the pool of each build's i-th session. They start
/// together, and none stops before all have run for their seconds. In the records times are those of all
/// streams, load_ms and first_ms the longest, throughput counts samples a second of all streams together;
/// arena_bytes and weight_bytes are of one. Errors: those of Session::run().
Result<std::vector<Record>> measure_streams(const std::vector<Streamed>& builds,
                                            const std::vector<std::shared_ptr<ThreadPool>>& pools,
                                            const BenchOptions& options, const Progress& progress = {});

}  // namespace narrow::bench
