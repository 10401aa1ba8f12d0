#include "bench/bench.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/table.h"
#include "data/dataset.h"
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
  bool raw = false;
};

struct Opened {
  std::unique_ptr<runtime::Session> session;
  bench::Contestant contestant;
};

Result<TensorMap> inputs_for(const Options& o, const runtime::Session& session, ThreadPool& pool) {
  if (o.data.empty()) return bench::random_inputs(session.graph(), o.batch, o.length, o.common.seed);
  NARROW_TRY(const auto dataset, data::open_dataset(o.data, verify::input_specs(session)));
  const int64_t count = dataset->batch_of(o.batch);
  if (dataset->size() < count)
    return Error{.code = Code::invalid_data,
                 .subject = o.data,
                 .expected = fmt::format("at least {} samples for --batch", count),
                 .got = fmt::format("{}", dataset->size())};
  NARROW_TRY(const data::Batch batch, dataset->read(0, count, pool));
  NARROW_TRY(const runtime::CarriedStates states,
             runtime::CarriedStates::create(dataset->info().states, session.graph()));
  return states.with(batch.inputs);
}

Result<Opened> open(const Options& o, const std::string& path, const std::shared_ptr<ThreadPool>& pool) {
  const Stopwatch watch;
  NARROW_TRY(runtime::Session session, runtime::Session::open(path, pool));
  Opened opened{.session = std::make_unique<runtime::Session>(std::move(session)), .contestant = {}};
  std::error_code error;
  opened.contestant = {.name = path,
                       .session = opened.session.get(),
                       .inputs = {},
                       .load_ms = watch.milliseconds(),
                       .bytes = static_cast<int64_t>(std::filesystem::file_size(path, error))};
  NARROW_TRY(opened.contestant.inputs, inputs_for(o, *opened.session, *pool));
  return opened;
}

Result<int> run(const Options& o) {
  if (o.streams != 1)
    return Error{.code = Code::usage,
                 .subject = "--streams",
                 .expected = "1: one stream is what this version runs",
                 .got = fmt::format("{}", o.streams)};
  auto pool = std::make_shared<ThreadPool>(o.common.threads);
  std::vector<Opened> opened;
  std::vector<bench::Contestant> contestants;
  for (const std::string& path : o.models) {
    NARROW_TRY(Opened one, open(o, path, pool));
    contestants.push_back(one.contestant);
    opened.push_back(std::move(one));
  }
  NARROW_TRY(const std::vector<bench::Record> records,
             bench::measure(contestants, {.seconds = o.seconds, .rounds = 5, .batch = o.batch},
                            make_progress(o.common)));
  const Json environment = bench::environment(pool->threads());
  std::vector<std::vector<std::string>> rows;
  Json list = Json::array();
  for (const bench::Record& r : records) {
    rows.push_back({r.name, fmt::format("{:.3f}", r.median_ms), fmt::format("{:.3f}", r.p90_ms),
                    fmt::format("{:.3f}", r.p99_ms), fmt::format("{:.0f}%", 100 * r.spread),
                    fmt::format("{:.0f}", r.throughput), fmt::format("{:.1f}", r.load_ms),
                    fmt::format("{:.1f}", r.first_ms), fmt::format("{:.0f}", r.rss_mb),
                    megabytes(r.arena_bytes), megabytes(r.bytes)});
    Json json = bench::to_json(r, o.raw);
    json["name"] = r.name;
    list.push_back(std::move(json));
  }
  std::string text = fmt::format(
      "{} · {} · {} threads · batch {} · load {:.1f}{}\n", environment["processor"].get<std::string>(),
      environment["isa"].get<std::string>(), pool->threads(), o.batch,
      environment["load_average"].get<double>(), o.data.empty() ? " · random inputs" : "");
  text += table({"build", "p50 ms", "p90 ms", "p99 ms", "spread", "samples/s", "load ms", "first ms",
                 "RSS MB", "arena", "file"},
                rows, {false, true, true, true, true, true, true, true, true, true, true});
  print_text(o.common, text);
  if (list.size() == 1) {
    list[0]["random_inputs"] = o.data.empty();
    print_json(o.common, list[0]);
  } else {
    print_json(o.common, {{"builds", list}, {"environment", environment}, {"random_inputs", o.data.empty()}});
  }
  return kDone;
}

}  // namespace

Command add_bench(CLI::App& root) {
  auto o = std::make_shared<Options>();
  CLI::App* app = root.add_subcommand("bench", "time models and artifacts, interleaved");
  app->description(
      "Times one or several .onnx or .narrow files in rotation: median, p90, p99, spread, memory, load time. "
      "Warm-up is not counted.\nWithout --data inputs are random.");
  app->add_option("MODEL", o->models, ".onnx or .narrow files")->required()->expected(1, 64);
  app->add_option("--data", o->data, "inputs from a data set instead of random ones");
  app->add_option("--batch", o->batch, "samples per inference (default 1)")->check(CLI::Range(1, 65536));
  app->add_option("--length", o->length, "what other free dimensions become (default 128)")
      ->check(CLI::Range(1, 1 << 20));
  app->add_option("--seconds", o->seconds, "per file (default 2)")->check(CLI::Range(0.001, 3600.0));
  app->add_option("--streams", o->streams, "inferences in flight (default 1)");
  app->add_flag("--raw", o->raw, "every sample in the JSON");
  add_common(*app, o->common);
  return {app, [o] { return run(*o); }};
}

}  // namespace narrow::cli
