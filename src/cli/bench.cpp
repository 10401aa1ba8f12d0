#include "bench/bench.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/clock.h"
#include "base/cpu.h"
#include "bench/streams.h"
#include "cli/command.h"
#include "cli/table.h"
#include "data/dataset.h"
#include "parallel/topology.h"
#include "runtime/states.h"
#include "verify/evaluate.h"

namespace narrow::cli {
namespace {

struct Options {
  Common common;
  std::vector<std::string> models;
  std::string data;
  int64_t batch = 1, length = 128, streams = 1;
  double seconds = 2;
  bool raw = false, pin = false;
};

using Pools = std::vector<std::shared_ptr<ThreadPool>>;

/// One file with a session per stream.
struct Opened {
  std::string name;
  std::vector<std::unique_ptr<runtime::Session>> sessions;
  TensorMap inputs;
  double load_ms = 0;  // of the first
  int64_t bytes = 0;
};

/// A pool per stream. Several keep to processors of their own, or their threads would meet on one.
Result<Pools> make_pools(const Options& o) {
  const int threads = o.common.threads > 0 ? o.common.threads : cpu_features().cores;
  if (o.streams < 1 || o.streams > threads)
    return Error{.code = Code::usage,
                 .subject = "--streams",
                 .expected = fmt::format("1 to {}, the number of --threads", threads),
                 .got = fmt::format("{}", o.streams)};
  const int streams = static_cast<int>(o.streams), each = threads / streams;
  const auto cpus =
      o.pin || streams > 1 ? share_out(usable_cores(), streams, each) : std::vector<std::vector<int>>(1);
  Pools pools;
  for (const std::vector<int>& share : cpus) pools.push_back(std::make_shared<ThreadPool>(each, share));
  return pools;
}

Result<TensorMap> inputs_for(const Options& o, runtime::Session& session, ThreadPool& pool) {
  if (o.data.empty()) {
    NARROW_TRY(const ir::Graph* graph, session.graph());
    return bench::random_inputs(*graph, o.batch, o.length, o.common.seed);
  }
  NARROW_TRY(const auto dataset, data::open_dataset(o.data, verify::input_specs(session.interface())));
  const int64_t count = dataset->batch_of(o.batch);
  if (dataset->size() < count)
    return Error{.code = Code::invalid_data,
                 .subject = o.data,
                 .expected = fmt::format("at least {} samples for --batch", count),
                 .got = fmt::format("{}", dataset->size())};
  NARROW_TRY(const data::Batch batch, dataset->read(0, count, pool));
  NARROW_TRY(const runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset->info().states, session.interface()));
  return states.with(batch.inputs);
}

Result<Opened> open(const Options& o, const std::string& path, const Pools& pools) {
  Opened opened{.name = path, .sessions = {}, .inputs = {}};
  for (const auto& pool : pools) {
    const Stopwatch watch;
    NARROW_TRY(runtime::Session session, runtime::Session::open(path, pool));
    if (opened.sessions.empty()) opened.load_ms = watch.milliseconds();
    opened.sessions.push_back(std::make_unique<runtime::Session>(std::move(session)));
  }
  std::error_code error;
  opened.bytes = static_cast<int64_t>(std::filesystem::file_size(path, error));
  NARROW_TRY(opened.inputs, inputs_for(o, *opened.sessions.front(), *pools.front()));
  return opened;
}

Result<std::vector<bench::Record>> measure(const Options& o, const std::vector<Opened>& files,
                                           const Pools& pools) {
  const bench::BenchOptions options = {.seconds = o.seconds, .rounds = 5, .batch = o.batch};
  if (pools.size() == 1) {
    std::vector<bench::Contestant> contestants;
    for (const Opened& file : files)
      contestants.push_back({.name = file.name,
                             .session = file.sessions.front().get(),
                             .inputs = file.inputs,
                             .load_ms = file.load_ms,
                             .bytes = file.bytes});
    pools.front()->pin_caller();
    return bench::measure(contestants, options, make_progress(o.common));
  }
  std::vector<bench::Streamed> builds;
  for (const Opened& file : files) {
    bench::Streamed build{.name = file.name,
                          .sessions = {},
                          .inputs = file.inputs,
                          .load_ms = file.load_ms,
                          .bytes = file.bytes};
    for (const auto& session : file.sessions) build.sessions.push_back(session.get());
    builds.push_back(std::move(build));
  }
  return bench::measure_streams(builds, pools, options, make_progress(o.common));
}

/// "2 threads", "throughput: 2 streams of 1 thread, pinned".
std::string mode_text(const Pools& pools) {
  const int each = pools.front()->threads();
  std::string text = fmt::format("{} thread{}", each, each == 1 && pools.size() > 1 ? "" : "s");
  if (pools.size() > 1) text = fmt::format("throughput: {} streams of {}", pools.size(), text);
  return text + (pools.front()->is_pinned() ? ", pinned" : "");
}

std::string text_of(const Options& o, const std::vector<bench::Record>& records, const Json& environment,
                    const Pools& pools) {
  std::vector<std::vector<std::string>> rows;
  for (const bench::Record& r : records)
    rows.push_back({r.name, fmt::format("{:.3f}", r.median_ms), fmt::format("{:.3f}", r.p90_ms),
                    fmt::format("{:.3f}", r.p99_ms), fmt::format("{:.0f}%", 100 * r.spread),
                    fmt::format("{:.0f}", r.throughput), fmt::format("{:.1f}", r.load_ms),
                    fmt::format("{:.1f}", r.first_ms), fmt::format("{:.0f}", r.rss_mb),
                    megabytes(r.arena_bytes), megabytes(r.bytes)});
  return fmt::format("{} · {} · {} · batch {} · load {:.1f}{}\n", environment["processor"].get<std::string>(),
                     environment["isa"].get<std::string>(), mode_text(pools), o.batch,
                     environment["load_average"].get<double>(), o.data.empty() ? " · random inputs" : "") +
         table({"build", "p50 ms", "p90 ms", "p99 ms", "spread", "samples/s", "load ms", "first ms", "RSS MB",
                "arena", "file"},
               rows, {false, true, true, true, true, true, true, true, true, true, true});
}

Json json_of(const Options& o, const std::vector<bench::Record>& records, const Json& environment,
             const Pools& pools) {
  Json list = Json::array();
  for (const bench::Record& r : records) {
    Json json = bench::to_json(r, o.raw);
    json["name"] = r.name;
    list.push_back(std::move(json));
  }
  Json json = list.size() == 1 ? std::move(list[0]) : Json{{"builds", list}, {"environment", environment}};
  json["random_inputs"] = o.data.empty();
  json["streams"] = pools.size();
  json["threads_per_stream"] = pools.front()->threads();
  json["pinned"] = pools.front()->is_pinned();
  return json;
}

Result<int> run(const Options& o) {
  NARROW_TRY(const Pools pools, make_pools(o));
  std::vector<Opened> files;
  for (const std::string& path : o.models) {
    NARROW_TRY(Opened file, open(o, path, pools));
    files.push_back(std::move(file));
  }
  NARROW_TRY(const std::vector<bench::Record> records, measure(o, files, pools));
  int threads = 0;
  for (const auto& pool : pools) threads += pool->threads();
  const Json environment = bench::environment(threads);
  print_text(o.common, text_of(o, records, environment, pools));
  print_json(o.common, json_of(o, records, environment, pools));
  return kDone;
}

}  // namespace

Command add_bench(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("bench", "time models and artifacts, interleaved");
  app->description(
      "Times one or several .onnx or .narrow files in rotation: median, p90, p99, spread, memory, load time. "
      "Warm-up is not counted. With --streams: how many samples a second several sessions answer "
      "together.\nWithout --data inputs are random.");
  app->add_option("MODEL", o->models, ".onnx or .narrow files")->required()->expected(1, 64);
  app->add_option("--data", o->data, "inputs from a data set instead of random ones");
  app->add_option("--batch", o->batch, "samples per inference (default 1)")->check(CLI::Range(1, 65536));
  app->add_option("--length", o->length, "what other free dimensions become (default 128)")
      ->check(CLI::Range(1, 1 << 20));
  app->add_option("--seconds", o->seconds, "per file (default 2)")->check(CLI::Range(0.001, 3600.0));
  app->add_option("--streams", o->streams,
                  "sessions that run side by side on threads/N threads each (default 1)");
  app->add_flag("--pin", o->pin, "keep every thread on a processor of its own, as --streams does");
  app->add_flag("--raw", o->raw, "every sample in the JSON");
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
