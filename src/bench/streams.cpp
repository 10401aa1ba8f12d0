#include "bench/streams.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <limits>
#include <map>
#include <thread>

#include "base/clock.h"
#include "base/memory.h"

namespace narrow::bench {
namespace {

using Pools = std::vector<std::shared_ptr<ThreadPool>>;

/// body(stream) on a thread per pool, where that pool's caller belongs. The first error, once all have
/// returned.
Status on_each(const Pools& pools, const std::string& name, const std::function<Status(size_t)>& body) {
  std::vector<Status> ends(pools.size());
  std::vector<std::thread> threads;
  for (size_t s = 0; s < pools.size(); ++s)
    threads.emplace_back([&, s] {
      pools[s]->pin_caller();
      ends[s] = within_memory(name, [&] { return body(s); });
    });
  for (std::thread& thread : threads) thread.join();
  for (const Status& end : ends) NARROW_DO(end);
  return {};
}

/// Plans and runs every session once, each on its own cores, so that what it packs lies in their memory.
Result<Record> begin(const Streamed& build, const Pools& pools) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : build.inputs) shapes[name] = tensor.shape();
  std::vector<double> plan_ms(pools.size()), first_ms(pools.size());
  NARROW_DO(on_each(pools, build.name, [&](size_t s) -> Status {
    const Stopwatch planning;
    NARROW_DO(build.sessions[s]->prepare(shapes));
    plan_ms[s] = planning.milliseconds();
    const Stopwatch running;
    NARROW_DO(build.sessions[s]->run(build.inputs));
    first_ms[s] = running.milliseconds();
    return {};
  }));
  Record record;
  record.name = build.name;
  record.bytes = build.bytes;
  record.load_ms = build.load_ms + *std::max_element(plan_ms.begin(), plan_ms.end());
  record.first_ms = *std::max_element(first_ms.begin(), first_ms.end());
  NARROW_TRY(const runtime::PlanInfo info, build.sessions.front()->plan_info(shapes));
  record.arena_bytes = info.arena_bytes;
  record.weight_bytes = info.weight_bytes;
  return record;
}

/// One visit: two inferences each that do not count, then together for `seconds` from when the last has
/// begun, whenever the system lets each of them run: every stream has an inference within the time all share.
Result<Together> run_together(const Streamed& build, const Pools& pools, double seconds) {
  const auto count = static_cast<std::ptrdiff_t>(pools.size());
  std::barrier start(count);
  std::atomic<std::ptrdiff_t> to_begin{count}, running{count};  // streams that have not begun, have time left
  std::atomic<bool> failed{false};
  const Stopwatch clock;
  std::vector<double> begins(pools.size());
  std::vector<std::vector<Inference>> streams(pools.size());
  const auto stream = [&](size_t s) -> Status {
    Status warm;
    for (int i = 0; i < 2 && warm.ok(); ++i)
      if (auto done = build.sessions[s]->run(build.inputs); !done.ok()) warm = done.error();
    if (!warm.ok()) failed = true;
    start.arrive_and_wait();
    NARROW_DO(warm);
    bool has_time = true;
    for (bool last = false; !last && !failed;) {
      last = running == 0;  // begun when none has time left, it ends when none's time goes on
      const double begun = clock.seconds();
      if (streams[s].empty()) {
        begins[s] = begun;
        --to_begin;
      }
      NARROW_DO(build.sessions[s]->run(build.inputs));
      streams[s].push_back({begun, clock.seconds()});
      if (!has_time || to_begin > 0) continue;
      const double all_run = *std::max_element(begins.begin(), begins.end());
      if (begun < all_run || streams[s].back().end < all_run + seconds) continue;
      has_time = false;
      --running;
    }
    return {};
  };
  NARROW_DO(on_each(pools, build.name, [&](size_t s) {
    Status end = stream(s);
    if (!end.ok()) failed = true;  // or the others would wait for this one
    return end;
  }));
  return common_window(streams);
}

}  // namespace

Together common_window(const std::vector<std::vector<Inference>>& streams) {
  double begin = 0, end = std::numeric_limits<double>::infinity();
  for (const std::vector<Inference>& stream : streams) {
    begin = std::max(begin, stream.front().begin);
    end = std::min(end, stream.back().end);
  }
  Together together;
  together.seconds = std::max(0.0, end - begin);
  for (const std::vector<Inference>& stream : streams)
    for (const Inference& one : stream) {
      const double inside = std::min(one.end, end) - std::max(one.begin, begin), all = one.end - one.begin;
      if (inside <= 0) continue;
      together.inferences += inside / all;
      if (one.end <= end) together.latencies_ms.push_back(1e3 * all);
    }
  return together;
}

Result<std::vector<Record>> measure_streams(const std::vector<Streamed>& builds, const Pools& pools,
                                            const BenchOptions& options, const Progress& progress) {
  std::vector<Record> records;
  for (const Streamed& build : builds) {
    NARROW_TRY(Record record, begin(build, pools));
    records.push_back(std::move(record));
  }
  std::vector<Together> sums(builds.size());
  const auto visits = static_cast<int64_t>(builds.size()) * options.rounds;
  for (int64_t visit = 0; visit < visits; ++visit) {
    const auto round = static_cast<size_t>(visit) / builds.size();
    const size_t i = (static_cast<size_t>(visit) + round) % builds.size();
    report(progress, "bench", visit, visits);
    NARROW_TRY(const Together together, run_together(builds[i], pools, options.seconds / options.rounds));
    sums[i].seconds += together.seconds;
    sums[i].inferences += together.inferences;
    records[i].samples_ms.insert(records[i].samples_ms.end(), together.latencies_ms.begin(),
                                 together.latencies_ms.end());
    records[i].rss_mb = peak_rss_mb();
  }
  report(progress, "bench", 1, 1);
  for (size_t i = 0; i < builds.size(); ++i) {
    summarize(records[i], options.batch);
    records[i].throughput =
        sums[i].seconds > 0 ? static_cast<double>(options.batch) * sums[i].inferences / sums[i].seconds : 0;
  }
  return records;
}

}  // namespace narrow::bench
