// Kahn's algorithm over value names: the earliest node whose inputs are all there goes next.
#include <fmt/format.h>

#include <unordered_map>

#include "onnx/functions.h"

namespace narrow::onnx {
namespace {

using Producers = std::unordered_map<std::string, size_t>;  // value name -> node

Result<Producers> producers_of(const std::vector<SourceNode>& nodes, const std::set<std::string>& given) {
  Producers producers;
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& output : nodes[i].outputs)
      if (!output.empty() && (given.contains(output) || !producers.emplace(output, i).second))
        return Error{.code = Code::invalid_model,
                     .subject = nodes[i].location(),
                     .expected = "output names that no input, initializer or other node has",
                     .got = "'" + output + "' a second time"};
  return producers;
}

/// The nodes each node waits for.
Result<std::vector<std::set<size_t>>> dependencies(const std::vector<SourceNode>& nodes,
                                                   const Producers& producers,
                                                   const std::set<std::string>& given) {
  std::vector<std::set<size_t>> waits_for(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& input : nodes[i].inputs) {
      if (input.empty() || given.contains(input)) continue;
      const auto producer = producers.find(input);
      if (producer == producers.end())
        return Error{.code = Code::invalid_model,
                     .subject = nodes[i].location(),
                     .expected = "inputs that some node, input or initializer provides",
                     .got = "'" + input + "', which nothing provides"};
      waits_for[i].insert(producer->second);
    }
  return waits_for;
}

}  // namespace

Result<std::vector<SourceNode>> in_order(std::vector<SourceNode> nodes, const std::set<std::string>& given) {
  NARROW_TRY(const Producers producers, producers_of(nodes, given));
  NARROW_TRY(const auto waits_for, dependencies(nodes, producers, given));
  std::vector<std::vector<size_t>> readers(nodes.size());
  std::vector<size_t> waiting(nodes.size());
  std::set<size_t> ready;
  for (size_t i = 0; i < nodes.size(); ++i) {
    waiting[i] = waits_for[i].size();
    if (waiting[i] == 0) ready.insert(i);
    for (const size_t producer : waits_for[i]) readers[producer].push_back(i);
  }
  std::vector<SourceNode> ordered;
  ordered.reserve(nodes.size());
  while (!ready.empty()) {
    const size_t i = *ready.begin();
    ready.erase(ready.begin());
    for (const size_t reader : readers[i])
      if (--waiting[reader] == 0) ready.insert(reader);
    ordered.push_back(std::move(nodes[i]));
  }
  if (ordered.size() == nodes.size()) return ordered;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (waiting[i] > 0)
      return Error{.code = Code::invalid_model,
                   .subject = nodes[i].location(),
                   .expected = "an acyclic graph",
                   .got = "a node that waits for its own output"};
  return ordered;
}

}  // namespace narrow::onnx
