#include "quant/rotate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "quant/rotate_stream.h"
#include "quant/value_rotations.h"

namespace narrow::quant {
namespace {

std::string name_of(const ir::Node& node) { return node.name.empty() ? node.output()->name : node.name; }

std::vector<std::string> names_of(const std::vector<ir::Node*>& nodes) {
  std::vector<std::string> names;
  for (const ir::Node* node : nodes) names.push_back(name_of(*node));
  return names;
}

void rotate_streams(ir::Graph& graph, uint64_t seed, RotateReport& report) {
  const Streams found = find_streams(graph);
  for (const StreamLeft& left : found.left_alone)
    report.left_alone.push_back(left.value + ": " + left.reason);
  struct Chosen {
    const Stream* stream;
    Rotation rotation;
  };
  std::vector<Chosen> chosen;
  for (const Stream& stream : found.streams) {
    const std::string value = stream.norms.front().site.x->name;
    std::string reason = obstacle_to_norms(graph, stream);
    if (!can_rotate(stream.channels)) reason = fmt::format("no matrix of {} channels", stream.channels);
    if (!reason.empty()) {
      report.left_alone.push_back(value + ": " + reason);
      continue;
    }
    const bool centred = std::any_of(stream.norms.begin(), stream.norms.end(),
                                     [](const StreamNorm& norm) { return norm.site.centred; });
    chosen.push_back({&stream, Rotation(stream.channels, seed, centred)});
    size_t readers = stream.readers.size();
    for (const StreamNorm& norm : stream.norms) readers += norm.readers.size();
    report.streams.push_back({value, stream.channels, std::ssize(stream.writers),
                              static_cast<int64_t>(readers), std::ssize(stream.norms),
                              chosen.back().rotation.name()});
  }
  ConstantEdits edits;
  for (const Chosen& c : chosen) take_norms_out(graph, *c.stream, c.rotation, edits);
  for (const Chosen& c : chosen) turn_stream(*c.stream, c.rotation, edits);
  edits.apply(graph);
}

void rotate_values(ir::Graph& graph, uint64_t seed, RotateReport& report) {
  const ValueRotations found = find_value_rotations(graph);
  for (const ValueLeft& left : found.left_alone) report.left_alone.push_back(left.value + ": " + left.reason);
  ConstantEdits edits;
  for (const ValueRotation& v : found.rotations) {
    const Rotation rotation(v.block, seed);
    for (const TurnedConstant& c : v.constants) {
      const int64_t rank = std::max<int64_t>(c.node->input(c.input)->constant().rank(), 1),
                    axis = c.axis >= 0 ? c.axis : rank - 1;
      edits.add(c.node, c.input,
                fmt::format("blocks of {} at {} of axis {}", v.block, fmt::join(c.starts, " "), axis),
                [axis, c, rotation](const Tensor& tensor) {
                  return rotated(tensor, axis, c.extent, c.starts, rotation);
                });
    }
    report.values.push_back(
        {names_of(v.producers), names_of(v.consumers), v.block, v.blocks, v.attention, rotation.name()});
  }
  edits.apply(graph);
}

/// "residual stream of 64 channels at 'x' (Hadamard 64; 11 normalisations)"; more of a kind are counted.
std::string note_of(const RotateReport& report) {
  std::vector<std::string> parts;
  if (!report.streams.empty()) {
    const RotatedStream& s = report.streams.front();
    parts.push_back(
        fmt::format("{} residual stream{}, the first of {} channels at '{}' ({}; {} normalisations)",
                    report.streams.size(), report.streams.size() == 1 ? "" : "s", s.channels, s.value,
                    s.matrix, s.norms));
  }
  for (const bool attention : {true, false}) {
    std::vector<const RotatedValues*> list;
    for (const RotatedValues& v : report.values)
      if (v.attention == attention) list.push_back(&v);
    if (list.empty()) continue;
    parts.push_back(fmt::format("{} of {}, the first from {} to {} ({})", attention ? "values" : "channels",
                                attention ? fmt::format("{} attentions", list.size())
                                          : fmt::format("{} chains of products", list.size()),
                                fmt::join(list.front()->producers, ", "),
                                fmt::join(list.front()->consumers, ", "), list.front()->matrix));
  }
  std::string note =
      parts.empty() ? "rotate found nothing to rotate" : fmt::format("rotated {}", fmt::join(parts, "; "));
  constexpr size_t kNamed = 3;
  const auto& left = report.left_alone;
  if (!left.empty())
    note += fmt::format(
        "; left alone: {}",
        fmt::join(left.begin(), left.begin() + static_cast<int64_t>(std::min(kNamed, left.size())), ", "));
  if (left.size() > kNamed) note += fmt::format(" and {} more", left.size() - kNamed);
  return parts.empty() && report.left_alone.empty() ? "" : note;
}

}  // namespace

Result<RotateReport> rotate(ir::Graph& graph, const RotateOptions& options) {
  RotateReport report;
  if (options.stream) rotate_streams(graph, options.seed, report);
  if (options.values) rotate_values(graph, options.seed, report);
  if (report.changed()) graph.remove_dead();
  report.note = note_of(report);
  return report;
}

}  // namespace narrow::quant
