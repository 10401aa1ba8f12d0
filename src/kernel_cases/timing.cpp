#include "kernel_cases/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/aligned.h"
#include "base/clock.h"

namespace narrow::kernel_cases {
namespace {

/// Reads one byte of every cache line, so that the lines are there and nothing is optimised away.
void touch(const void* data, int64_t bytes) {
  const auto* at = static_cast<const volatile uint8_t*>(data);
  for (int64_t i = 0; i < bytes; i += kCacheLine) static_cast<void>(at[i]);
}

/// Operands where an arena would put them: each at the beginning of a cache line.
class Operands {
 public:
  explicit Operands(const Problem& p) {
    for (const Bytes& input : p.inputs) {
      std::memcpy(add(static_cast<int64_t>(input.size())), input.data(), input.size());
      memory.in.push_back(buffers_.back().data());
    }
    for (const Output& o : p.outputs) memory.out.push_back(add(o.bytes()));
  }
  void bring_back() const {
    for (const AlignedBuffer& b : buffers_) touch(b.data(), b.bytes());
  }
  Memory memory;

 private:
  std::byte* add(int64_t bytes) {
    buffers_.push_back(AlignedBuffer::zeroed(std::max<int64_t>(bytes, 1)));
    return buffers_.back().data();
  }
  std::vector<AlignedBuffer> buffers_;
};

/// Every thread streams through its part: private caches are emptied by their own core.
class Flusher {
 public:
  explicit Flusher(int64_t bytes) : buffer_(bytes) {
    std::memset(buffer_.data(), 1, static_cast<size_t>(bytes));  // else all pages were the one page of zeros
  }
  void flush(ThreadPool& pool) const {
    const int64_t part = buffer_.bytes() / pool.threads();
    pool.run(pool.threads(), [&](int64_t i) { touch(buffer_.data() + i * part, part); });
  }

 private:
  AlignedBuffer buffer_;
};

/// One candidate, and the samples it has so far.
struct Lane {
  PreparedKernel kernel;
  AlignedBuffer scratch;
  size_t row;
  int64_t batch = 1;
  double spent = 0;
  std::vector<double> samples_us = {};
};

double run_once(const Lane& lane, Memory memory, int64_t times, ThreadPool& pool) {
  memory.scratch = const_cast<std::byte*>(lane.scratch.data());
  const Stopwatch watch;
  for (int64_t i = 0; i < times; ++i) lane.kernel.run(memory, pool);
  return watch.seconds();
}

double percentile(const std::vector<double>& sorted, double p) {
  return sorted[static_cast<size_t>(std::lround(p * static_cast<double>(sorted.size() - 1)))];
}

void summarise(Lane& lane, Timing& row) {
  std::sort(lane.samples_us.begin(), lane.samples_us.end());
  row.runs = static_cast<int64_t>(lane.samples_us.size()) * lane.batch;
  row.median_us = percentile(lane.samples_us, 0.5);
  row.p10_us = percentile(lane.samples_us, 0.1);
  row.p90_us = percentile(lane.samples_us, 0.9);
}

}  // namespace

int64_t flush_bytes() {
  const CpuFeatures& cpu = cpu_features();
  return std::min<int64_t>(int64_t{1} << 30, cpu.l3_bytes + 2 * cpu.l2_bytes * cpu.cores);
}

std::vector<Timing> time_candidates(const Problem& problem, const TimeOptions& options, ThreadPool& pool) {
  const Operands operands(problem);
  std::vector<Timing> rows;
  std::vector<Lane> lanes;
  for (const Candidate& c : problem.candidates) {
    rows.push_back({.candidate = c.name, .isa = c.isa, .skipped = c.refusal});
    if (rows.back().skipped.empty() && !runs_here(c.isa))
      rows.back().skipped = fmt::format("{} is not usable here", to_string(c.isa));
    if (rows.back().skipped.empty() && !c.name.starts_with(options.only))
      rows.back().skipped = fmt::format("only {} is wanted", options.only);
    if (!rows.back().skipped.empty()) continue;
    PreparedKernel kernel = c.prepare(pool.threads());
    AlignedBuffer scratch = AlignedBuffer::zeroed(std::max<int64_t>(kernel.scratch_bytes, 1));
    lanes.push_back({.kernel = std::move(kernel), .scratch = std::move(scratch), .row = rows.size() - 1});
  }
  const Flusher flusher(options.cold ? flush_bytes() : kCacheLine);
  for (Lane& lane : lanes) {
    run_once(lane, operands.memory, 2, pool);  // pages and predictors
    const double one = run_once(lane, operands.memory, 1, pool);
    if (!options.cold)
      lane.batch = std::clamp<int64_t>(static_cast<int64_t>(20e-6 / std::max(one, 1e-9)), 1, 1000);
  }
  for (bool any = true; any;) {
    any = false;
    for (Lane& lane : lanes) {
      // At least five samples, whatever they take.
      if (lane.spent >= options.seconds && lane.samples_us.size() >= 5) continue;
      any = true;
      const Stopwatch whole;
      if (options.cold) flusher.flush(pool), operands.bring_back();
      const double seconds = run_once(lane, operands.memory, lane.batch, pool);
      lane.samples_us.push_back(seconds * 1e6 / static_cast<double>(lane.batch));
      lane.spent += whole.seconds();
    }
  }
  for (Lane& lane : lanes) summarise(lane, rows[lane.row]);
  return rows;
}

}  // namespace narrow::kernel_cases
