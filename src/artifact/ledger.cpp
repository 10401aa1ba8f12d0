#include "artifact/ledger.h"

#include <algorithm>
#include <array>
#include <optional>

#include "artifact/artifact.h"
#include "artifact/container.h"
#include "artifact/packed.h"
#include "artifact/sparse.h"
#include "base/file.h"
#include "base/memory.h"
#include "ir/text.h"

namespace narrow::artifact {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

/// What a constant is to the node that takes it in at last.
struct Role {
  Bytes kind = Bytes::others;
  const Node* node = nullptr;
};

bool passes_on(Op op) {
  switch (op) {
    case Op::DequantizeLinear:
    case Op::Cast:
    case Op::Transpose:
    case Op::Reshape:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Identity:
    case Op::CumSum:           // of the gaps between weights apart,
    case Op::ScatterElements:  // which it puts beside what the codes stand for
      return true;
    default:
      return false;
  }
}

/// Of input `index` of the node that computes with it.
Bytes kind_at(const Node& node, int index, bool dequantized, DType dtype) {
  const bool codes = dequantized || is_narrow_integer(dtype) || dtype == DType::s8 || dtype == DType::u8;
  switch (node.op()) {
    case Op::QuantizeLinear:
      return index == 1 ? Bytes::scales : index == 2 ? Bytes::zero_points : Bytes::others;
    case Op::Gather:
      return index == 0 ? Bytes::tables : Bytes::others;
    case Op::Conv:
    case Op::ConvTranspose:
    case Op::Gemm:
    case Op::MatMul:
    case Op::ConvInteger:
    case Op::MatMulInteger:
      if (index >= 2)
        return node.op() == Op::Conv || node.op() == Op::ConvTranspose || node.op() == Op::Gemm
                   ? Bytes::biases
                   : Bytes::zero_points;
      return codes ? Bytes::codes : Bytes::weights;
    case Op::Add:
      return Bytes::biases;
    default:
      return codes ? Bytes::codes : Bytes::others;
  }
}

/// Follows the first use: through DequantizeLinear and what only moves, to the node that computes.
Role role_of(const Value& constant) {
  const Value* value = &constant;
  std::optional<Bytes> decided;
  bool dequantized = false;
  constexpr int kFar = 16;
  for (int step = 0; step < kFar && !value->uses().empty(); ++step) {
    const ir::Use use = value->uses().front();
    const Node& node = *use.node;
    const bool dequantizes = node.op() == Op::DequantizeLinear;
    if (dequantizes && use.index > 0 && !decided)
      decided = use.index == 1 ? Bytes::scales : Bytes::zero_points;
    if (dequantizes && use.index == 0) dequantized = true;
    const bool adds = node.op() == Op::ScatterElements;
    if (adds && use.index == 1 && !decided) decided = Bytes::places;
    const bool goes_on =
        passes_on(node.op()) && (use.index == 0 || dequantizes || adds) && !node.outputs().empty();
    if (!goes_on)
      return {decided.value_or(kind_at(node, use.index, dequantized, constant.type.dtype)), &node};
    value = node.output();
  }
  return {decided.value_or(Bytes::others), nullptr};
}

/// Bytes of the blob and what they are; what several constants share is counted once.
class Regions {
 public:
  void add(int64_t offset, int64_t bytes, Bytes kind, const Node* node) {
    if (!known_.emplace(offset, bytes).second || bytes == 0) return;
    ledger_.kinds[kind] += bytes;
    if (node == nullptr) return;
    const std::string name = !node->name.empty() ? node->name : node->output()->name;
    const auto [at, fresh] = layer_.try_emplace(name, ledger_.layers.size());
    if (fresh) ledger_.layers.push_back({name, ir::to_string(node->op()), 0, {}});
    LayerBytes& layer = ledger_.layers[at->second];
    layer.total += bytes;
    layer.kinds[kind] += bytes;
  }

  /// The file's other bytes are padding.
  Ledger finish(int64_t file) {
    ledger_.file = file;
    int64_t sum = 0;
    for (const auto& [kind, bytes] : ledger_.kinds) sum += bytes;
    ledger_.kinds[Bytes::padding] = file - sum;
    std::stable_sort(ledger_.layers.begin(), ledger_.layers.end(),
                     [](const LayerBytes& a, const LayerBytes& b) { return a.total > b.total; });
    return std::move(ledger_);
  }
  void add_section(Bytes kind, size_t bytes) { ledger_.kinds[kind] += static_cast<int64_t>(bytes); }

 private:
  Ledger ledger_;
  std::map<std::string, size_t> layer_;
  std::map<int64_t, int64_t> known_;  // offset to size
};

/// One of the header's list: sparse, or as a kernel reads it.
Status add_packed(const Json& json, const Role& role, const Sections& sections,
                  const std::shared_ptr<const MappedFile>& file, const std::string& subject,
                  Regions& regions) {
  if (is_sparse(json)) {
    NARROW_TRY(const SparsePlaces places, places_of(json, sections.blob, subject));
    regions.add(places.mask_offset, places.mask_bytes, Bytes::places, role.node);
    regions.add(places.kept_offset, places.kept_bytes, role.kind, role.node);
    return {};
  }
  NARROW_TRY(const PackedConstant packed, packed_from_json(json, sections.blob, file, subject));
  for (const AlignedBuffer& part : packed.parts)
    regions.add(part.data() - sections.blob.data(), part.bytes(), role.kind, role.node);
  return {};
}

/// What the text of a graph places.
struct Placed {
  ir::Graph graph;
  std::vector<ir::Placement> list;
};

Result<Placed> placed_by(std::string_view text, const Sections& sections, const Json& packed,
                         const std::string& subject) {
  Placed placed;
  const ir::PackedSource any = [&](int64_t number, DType dtype, const Shape& shape) -> Result<Tensor> {
    if (number < 0 || number >= static_cast<int64_t>(packed.size()))
      return Error{Code::invalid_model, subject, "a packed constant", std::to_string(number),
                   "the file is damaged; build it again"};
    return Tensor::deferred(dtype, shape, [](std::byte*) {});  // nobody reads it
  };
  NARROW_TRY(placed.graph, ir::parse(text, sections.blob, nullptr, any, &placed.list));
  return placed;
}

Result<Ledger> ledger_of(const std::shared_ptr<const MappedFile>& file, const std::string& subject) {
  const std::span<const std::byte> bytes = file->bytes();
  NARROW_TRY(const Sections sections, unpack(bytes, subject));
  const auto found = sections.header.find("packed");
  const Json packed = found != sections.header.end() && found->is_array() ? *found : Json(Json::array());
  Regions regions;
  NARROW_TRY(const Placed portable, placed_by(sections.graph, sections, packed, subject));
  for (const ir::Placement& placement : portable.list) {
    const Value* constant = portable.graph.find_value(placement.constant);
    const Role role = constant != nullptr ? role_of(*constant) : Role{Bytes::scales, nullptr};
    if (placement.packed >= 0)
      NARROW_DO(
          add_packed(packed[static_cast<size_t>(placement.packed)], role, sections, file, subject, regions));
    else
      regions.add(placement.offset, placement.bytes, role.kind, role.node);
  }
  if (!sections.engine.empty()) {
    NARROW_TRY(const Placed engine, placed_by(sections.engine, sections, packed, subject));
    const Role role{Bytes::engine, nullptr};  // of what is not the portable graph's too
    for (const ir::Placement& placement : engine.list)
      if (placement.packed >= 0)
        NARROW_DO(add_packed(packed[static_cast<size_t>(placement.packed)], role, sections, file, subject,
                             regions));
      else
        regions.add(placement.offset, placement.bytes, role.kind, role.node);
  }
  regions.add_section(Bytes::graphs, sections.graph.size() + sections.engine.size());
  regions.add_section(Bytes::header, header_bytes(bytes));
  return regions.finish(static_cast<int64_t>(bytes.size()));
}

}  // namespace

const char* to_string(Bytes kind) {
  constexpr std::array kNames = {"codes",  "places", "scales", "zero points", "weights", "biases",
                                 "tables", "others", "engine", "graphs",      "header",  "padding"};
  return kNames.at(static_cast<size_t>(kind));
}

Result<Ledger> read_ledger(const std::filesystem::path& path) {
  return within_memory(path.string(), [&]() -> Result<Ledger> {
    NARROW_TRY(const Opened opened, read(path));  // what is no artifact is refused as everywhere
    NARROW_DO(opened.portable());
    NARROW_TRY(const auto file, MappedFile::open(path));
    return ledger_of(file, path.string());
  });
}

Json to_json(const Ledger& ledger) {
  const auto kinds_json = [](const std::map<Bytes, int64_t>& kinds) {
    Json json = Json::object();
    for (const auto& [kind, bytes] : kinds) json[to_string(kind)] = bytes;
    return json;
  };
  Json layers = Json::array();
  for (const LayerBytes& layer : ledger.layers)
    layers.push_back(
        {{"node", layer.name}, {"op", layer.op}, {"bytes", layer.total}, {"kinds", kinds_json(layer.kinds)}});
  return {{"file", ledger.file}, {"kinds", kinds_json(ledger.kinds)}, {"layers", std::move(layers)}};
}

}  // namespace narrow::artifact
