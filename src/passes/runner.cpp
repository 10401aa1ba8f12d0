// Runs a list of passes; what each one leaves is sorted, typed and verified before the next sees it.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ir/schema.h"
#include "passes/pass.h"

namespace narrow::passes {
namespace {

/// After a change: no dead nodes, topological order, types. What the list leaves is verified.
Status settle(ir::Graph& graph) {
  graph.remove_dead();
  NARROW_DO(graph.sort());
  return ir::infer_types(graph);
}

Error defect(const Pass& pass, const Error& cause) {
  return {.code = Code::internal,
          .subject = fmt::format("pass {}", pass.name),
          .expected = "a graph that verifies",
          .got = cause.message(),
          .hint = fmt::format("--disable-pass {} goes around it", pass.name)};
}

Result<PassRecord> run_one(ir::Graph& graph, const Pass& pass, const PassContext& context) {
  const auto start = std::chrono::steady_clock::now();
  NARROW_TRY(const int64_t changes, pass.run(graph, context));
  if (changes > 0) {
    const Status status = settle(graph);
    if (!status.ok()) return defect(pass, status.error());
  }
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  return PassRecord{.name = pass.name, .changes = changes, .milliseconds = elapsed.count()};
}

}  // namespace

Result<std::vector<PassRecord>> run_passes(ir::Graph& graph, std::span<const Pass> list,
                                           const PassContext& context,
                                           std::span<const std::string> disabled) {
  for (const std::string& name : disabled)
    if (find_pass(name) == nullptr)
      return Error{.code = Code::invalid_argument,
                   .subject = "disabled pass",
                   .expected = "the name of a pass",
                   .got = name};
  std::vector<PassRecord> records;
  for (const Pass& pass : list) {
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) continue;
    NARROW_TRY(PassRecord record, run_one(graph, pass, context));
    records.push_back(std::move(record));
  }
  const auto changed =
      std::find_if(records.rbegin(), records.rend(), [](const PassRecord& r) { return r.changes > 0; });
  if (changed != records.rend())
    if (const Status status = ir::verify(graph); !status.ok())
      return defect(*find_pass(changed->name), status.error());
  return records;
}

}  // namespace narrow::passes
