#include <fmt/format.h>

#include "ir/schema.h"

namespace narrow::ir {
namespace {

using Symbols = std::map<std::string, int64_t>;

Error contradiction(const Value& input, const Shape& shape, std::string got) {
  return {.code = Code::invalid_data,
          .subject = "input '" + input.name + "'",
          .expected = "a shape that fits " + to_string(input.type),
          .got = narrow::to_string(shape) + (got.empty() ? "" : ": " + got)};
}

/// What the shape of one input says of the symbols in its type.
Status read_symbols(const Value& input, const Shape& shape, Symbols& symbols) {
  if (input.type.ranked && input.type.rank() != static_cast<int64_t>(shape.size()))
    return contradiction(input, shape, "");
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) return contradiction(input, shape, "a negative dimension");
    if (!input.type.ranked) continue;
    const Dim& dim = input.type.dims[i];
    if (dim.known() && dim.value != shape[i]) return contradiction(input, shape, "");
    if (dim.known() || dim.symbol.empty()) continue;
    const auto [it, fresh] = symbols.emplace(dim.symbol, shape[i]);
    if (!fresh && it->second != shape[i])
      return contradiction(input, shape, fmt::format("{} is {} elsewhere", dim.symbol, it->second));
  }
  return {};
}

void substitute(TensorType& type, const Symbols& symbols) {
  for (Dim& dim : type.dims) {
    if (dim.known()) continue;
    if (const auto it = symbols.find(dim.symbol); it != symbols.end()) dim = Dim(it->second);
  }
}

}  // namespace

Status bind_shapes(Graph& graph, const std::map<std::string, Shape>& shapes) {
  Symbols symbols;
  for (const auto& [name, shape] : shapes) {
    Value* input = graph.find_value(name);
    if (input == nullptr || !input->is_graph_input())
      return Error{.code = Code::invalid_data,
                   .subject = "input '" + name + "'",
                   .expected = "an input of the model",
                   .got = "another name"};
    NARROW_DO(read_symbols(*input, shape, symbols));
    NARROW_DO(checked_elements(shape, std::max<int64_t>(bytes_of(input->type.dtype), 1)));
  }
  for (const auto& [name, shape] : shapes) {
    TensorType& type = graph.find_value(name)->type;
    auto quant = type.quant;
    type = TensorType::of(type.dtype, shape);
    type.quant = std::move(quant);
  }
  for (Value* value : graph.values()) substitute(value->type, symbols);
  return infer_types(graph);
}

}  // namespace narrow::ir
