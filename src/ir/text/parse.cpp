#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "ir/text.h"
#include "ir/text/lexer.h"
#include "ir/text/numbers.h"
#include "numerics/packing.h"
#include "tensor/packing.h"

namespace narrow::ir {
namespace {

using text::Lexer;

constexpr int kMaxDepth = 8;  // graphs inside attributes
constexpr size_t kMaxRank = 64;
constexpr size_t kMaxInputs = 65536;  // of one node

struct Origin {
  std::string name;
  std::vector<int64_t> perm;
};
struct NamedOutput {
  std::string name;
  TensorType type;
};

class Parser {
 public:
  Parser(std::string_view text, std::span<const std::byte> blob, std::shared_ptr<const void> owner,
         const PackedSource& packed, std::vector<Placement>* placements)
      : in_(text), blob_(blob), owner_(std::move(owner)), packed_(packed), placements_(placements) {}

  Result<Graph> file() {
    NARROW_TRY(Graph graph, parse_graph(0));
    if (!in_.at_end()) return in_.error("the end of the text");
    return graph;
  }

  Result<TensorType> type() {
    NARROW_TRY(TensorType type, parse_type());
    if (!in_.at_end()) return in_.error("the end of the type");
    return type;
  }

 private:
  Result<Graph> parse_graph(int depth);
  Status parse_input(Graph& graph);
  Status parse_meta(Graph& graph);
  Status parse_constant(Graph& graph);
  Status parse_node(Graph& graph, int depth);
  Status parse_returns(Graph& graph);

  Result<std::string> fresh_name(const Graph& graph);
  Result<Value*> parse_reference(const Graph& graph);
  Result<std::vector<Value*>> parse_arguments(const Graph& graph);
  Result<Op> parse_op_name();
  Result<TensorType> parse_type();
  Result<Dim> parse_dim();
  Result<std::shared_ptr<const Quantization>> parse_quantization();
  Result<std::shared_ptr<const Quantization>> parse_placed_scales(std::shared_ptr<Quantization> q);
  Result<Tensor> parse_data(const TensorType& type);
  Result<Packing> parse_packing(DType dtype);
  Result<Tensor> parse_blob(DType dtype, const Shape& shape, int64_t count);
  Result<std::vector<Origin>> parse_origins(size_t count);
  Result<Attributes> parse_attributes(int depth);
  Result<Attribute> parse_attribute(int depth);
  Result<Attribute> parse_number();
  Result<Attribute> parse_list();
  Result<Attribute> parse_word_attribute(int depth);

  Lexer in_;
  std::span<const std::byte> blob_;
  std::shared_ptr<const void> owner_;
  const PackedSource& packed_;
  std::vector<Placement>* placements_;
  std::string constant_;  // the one being read
};

// ---------------------------------------------------------------- graph

Result<Graph> Parser::parse_graph(int depth) {
  if (depth > kMaxDepth) return in_.error("graphs nested less deeply");
  if (!in_.accept_word("graph")) return in_.error("'graph'");
  Graph graph;
  if (in_.peek() != '(') {
    NARROW_TRY(graph.name, in_.name());
  }
  NARROW_DO(in_.expect('('));
  if (!in_.accept(')')) {
    do NARROW_DO(parse_input(graph));
    while (in_.accept(','));
    NARROW_DO(in_.expect(')'));
  }
  NARROW_DO(in_.expect('{'));
  while (!in_.accept_word("return")) {
    if (in_.accept_word("meta"))
      NARROW_DO(parse_meta(graph));
    else if (in_.peek() == '@')
      NARROW_DO(parse_constant(graph));
    else
      NARROW_DO(parse_node(graph, depth));
  }
  NARROW_DO(parse_returns(graph));
  NARROW_DO(in_.expect('}'));
  return graph;
}

Status Parser::parse_input(Graph& graph) {
  NARROW_DO(in_.expect('%'));
  NARROW_TRY(const std::string name, fresh_name(graph));
  NARROW_DO(in_.expect(':'));
  NARROW_TRY(TensorType type, parse_type());
  Value* value = graph.add_input(name, std::move(type));
  NARROW_TRY(auto origins, parse_origins(1));
  value->origin = std::move(origins[0].name);
  value->origin_perm = std::move(origins[0].perm);
  return {};
}

Status Parser::parse_meta(Graph& graph) {
  NARROW_TRY(const std::string key, in_.quoted());
  NARROW_DO(in_.expect('='));
  NARROW_TRY(graph.metadata[key], in_.quoted());
  return {};
}

Status Parser::parse_constant(Graph& graph) {
  NARROW_DO(in_.expect('@'));
  NARROW_TRY(const std::string name, fresh_name(graph));
  NARROW_DO(in_.expect(':'));
  NARROW_TRY(const TensorType type, parse_type());
  NARROW_DO(in_.expect('='));
  constant_ = name;
  NARROW_TRY(Tensor tensor, parse_data(type));
  constant_.clear();
  Value* value = graph.add_constant(name, std::move(tensor));
  value->type.quant = type.quant;
  NARROW_TRY(auto origins, parse_origins(1));
  value->origin = std::move(origins[0].name);
  value->origin_perm = std::move(origins[0].perm);
  return {};
}

Status Parser::parse_returns(Graph& graph) {
  if (in_.peek() == '}') return {};
  do {
    NARROW_TRY(Value * value, parse_reference(graph));
    if (value == nullptr) return in_.error("a value to return");
    if (!in_.accept_word("as")) return in_.error("'as'");
    NARROW_TRY(const std::string name, in_.quoted());
    graph.add_output(name, value);
  } while (in_.accept(','));
  return {};
}

// ---------------------------------------------------------------- nodes

Status Parser::parse_node(Graph& graph, int depth) {
  std::vector<NamedOutput> outputs;
  std::set<std::string> seen;
  do {
    NARROW_DO(in_.expect('%'));
    NamedOutput output;
    NARROW_TRY(output.name, fresh_name(graph));
    if (!seen.insert(output.name).second) return in_.error("outputs with names of their own", output.name);
    if (in_.accept(':')) {
      NARROW_TRY(output.type, parse_type());
    }
    outputs.push_back(std::move(output));
  } while (in_.accept(','));
  NARROW_DO(in_.expect('='));
  NARROW_TRY(const Op op, parse_op_name());
  NARROW_TRY(std::vector<Value*> inputs, parse_arguments(graph));
  NARROW_TRY(Attributes attrs, parse_attributes(depth));
  std::string name;
  if (in_.peek() == '"') {
    NARROW_TRY(name, in_.quoted());
  }
  NARROW_TRY(auto origins, parse_origins(outputs.size()));
  std::vector<std::string> names;
  for (const NamedOutput& output : outputs) names.push_back(output.name);
  Node* node = graph.add_node(op, std::move(inputs), names, std::move(attrs), std::move(name));
  for (size_t i = 0; i < outputs.size(); ++i) {
    Value* value = node->output(static_cast<int>(i));
    value->type = std::move(outputs[i].type);
    value->origin = std::move(origins[i].name);
    value->origin_perm = std::move(origins[i].perm);
  }
  return {};
}

Result<std::string> Parser::fresh_name(const Graph& graph) {
  NARROW_TRY(std::string name, in_.name());
  if (name.empty() || graph.find_value(name) != nullptr)
    return in_.error("a name no other value has", "'" + name + "'");
  return name;
}

/// nullptr for "-".
Result<Value*> Parser::parse_reference(const Graph& graph) {
  if (in_.accept('-')) return static_cast<Value*>(nullptr);
  const bool constant = in_.accept('@');
  if (!constant) NARROW_DO(in_.expect('%'));
  NARROW_TRY(const std::string name, in_.name());
  Value* value = graph.find_value(name);
  if (value == nullptr || value->is_constant() != constant)
    return in_.error(constant ? "a constant that stands above" : "a value that stands above",
                     "'" + name + "'");
  return value;
}

Result<std::vector<Value*>> Parser::parse_arguments(const Graph& graph) {
  std::vector<Value*> inputs;
  NARROW_DO(in_.expect('('));
  if (in_.accept(')')) return inputs;
  do {
    if (inputs.size() == kMaxInputs) return in_.error(fmt::format("at most {} inputs", kMaxInputs));
    NARROW_TRY(Value * value, parse_reference(graph));
    inputs.push_back(value);
  } while (in_.accept(','));
  NARROW_DO(in_.expect(')'));
  return inputs;
}

Result<Op> Parser::parse_op_name() {
  NARROW_TRY(const std::string_view name, in_.word());
  const auto op = parse_op(name);
  if (!op) return in_.error("an operator of narrow", "'" + std::string(name) + "'");
  return *op;
}

/// As many origins as there are values; empty ones when the text has none.
Result<std::vector<Origin>> Parser::parse_origins(size_t count) {
  std::vector<Origin> origins(count);
  if (!in_.accept_word("origin")) return origins;
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) NARROW_DO(in_.expect(','));
    if (in_.accept('-')) continue;
    NARROW_TRY(origins[i].name, in_.quoted());
    if (in_.peek() != '[') continue;
    NARROW_TRY(const auto tokens, in_.numbers());
    for (const std::string_view token : tokens) {
      const auto axis = text::read_int(token);
      if (!axis) return in_.error("an axis", std::string(token));
      origins[i].perm.push_back(*axis);
    }
  }
  return origins;
}

// ---------------------------------------------------------------- types

Result<TensorType> Parser::parse_type() {
  NARROW_TRY(const std::string_view name, in_.word());
  const auto dtype = name == "undefined" ? std::optional(DType::undefined) : parse_dtype(name);
  if (!dtype) return in_.error("an element type", "'" + std::string(name) + "'");
  TensorType type = TensorType::unranked(*dtype);
  if (in_.accept('[')) {
    type.ranked = true;
    if (!in_.accept(']')) {
      do {
        NARROW_TRY(Dim dim, parse_dim());
        type.dims.push_back(std::move(dim));
        if (type.dims.size() > kMaxRank) return in_.error(fmt::format("at most {} dimensions", kMaxRank));
      } while (in_.accept(','));
      NARROW_DO(in_.expect(']'));
    }
  }
  if (in_.accept('<')) {
    NARROW_TRY(type.quant, parse_quantization());
  }
  return type;
}

Result<Dim> Parser::parse_dim() {
  if (in_.accept('?')) return Dim();
  const char c = in_.peek();
  if ((c >= '0' && c <= '9') || c == '-') {
    NARROW_TRY(const int64_t value, in_.integer());
    if (value < 0) return in_.error("a dimension >= 0", std::to_string(value));
    return Dim(value);
  }
  NARROW_TRY(std::string symbol, in_.name());
  return Dim(std::move(symbol));
}

/// After "<": "scale,zero>" or "axis;scales;zeros>".
Result<std::shared_ptr<const Quantization>> Parser::parse_quantization() {
  auto q = std::make_shared<Quantization>();
  NARROW_TRY(std::string_view token, in_.number());
  if (in_.accept(';')) {
    const auto axis = text::read_int(token);
    if (!axis || *axis < 0) return in_.error("an axis >= 0", std::string(token));
    q->axis = *axis;
    if (in_.accept_word("blob")) return parse_placed_scales(std::move(q));
    NARROW_TRY(token, in_.number());
  }
  for (bool more = true; more;) {
    const auto scale = text::read_float(token);
    if (!scale) return in_.error("a scale", std::string(token));
    q->scale.push_back(*scale);
    more = !q->per_tensor() && in_.accept(',');
    if (more) {
      NARROW_TRY(token, in_.number());
    }
  }
  NARROW_DO(in_.expect(q->per_tensor() ? ',' : ';'));
  do {
    NARROW_TRY(const int64_t zero, in_.integer());
    if (zero != static_cast<int32_t>(zero)) return in_.error("a zero point of 32 bits", std::to_string(zero));
    q->zero_point.push_back(static_cast<int32_t>(zero));
  } while (in_.accept(','));
  NARROW_DO(in_.expect('>'));
  if (q->scale.size() != q->zero_point.size()) return in_.error("a zero point per scale", "another number");
  return std::shared_ptr<const Quantization>(std::move(q));
}

/// After "axis;blob": "offset count>", zero points of 0.
Result<std::shared_ptr<const Quantization>> Parser::parse_placed_scales(std::shared_ptr<Quantization> q) {
  NARROW_TRY(const int64_t offset, in_.integer());
  NARROW_TRY(const int64_t count, in_.integer());
  const auto size = static_cast<int64_t>(blob_.size());
  if (offset < 0 || offset % 64 != 0 || offset > size || count < 0 || count > (size - offset) / 4)
    return in_.error(fmt::format("scales at a multiple of 64 inside the blob of {}", size),
                     fmt::format("{} at {}", count, offset));
  q->scale.resize(static_cast<size_t>(count));
  q->zero_point.resize(static_cast<size_t>(count));
  if (placements_ != nullptr) placements_->push_back({"", offset, 4 * count});
  if (count > 0) std::memcpy(q->scale.data(), blob_.data() + offset, static_cast<size_t>(count) * 4);
  NARROW_DO(in_.expect('>'));
  return std::shared_ptr<const Quantization>(std::move(q));
}

// ---------------------------------------------------------------- data

/// "[...]", "blob offset bytes" or "packed number", after the type.
Result<Tensor> Parser::parse_data(const TensorType& type) {
  if (!type.is_static() || type.dtype == DType::undefined)
    return in_.error("a constant of known shape", to_string(type));
  const Shape shape = type.shape();
  const auto count = checked_elements(shape, bytes_of(type.dtype));
  if (!count) return in_.error(count.error().expected, to_string(type));
  if (in_.accept_word("blob")) return parse_blob(type.dtype, shape, *count);
  if (in_.accept_word("packed")) {
    NARROW_TRY(const int64_t number, in_.integer());
    if (packed_ == nullptr) return in_.error("a constant of this text", "one packed elsewhere");
    if (placements_ != nullptr) placements_->push_back({constant_, 0, 0, number});
    return packed_(number, type.dtype, shape);
  }
  if (in_.accept_word("hash"))
    return in_.error("the constant's data", "only its hash (this text is for reading)");
  NARROW_TRY(const auto tokens, in_.numbers());
  auto tensor = text::read_elements(type.dtype, shape, tokens);
  if (!tensor)
    return in_.error(fmt::format("{} elements of {}", *count, to_string(type)),
                     fmt::format("{} others", tokens.size()));
  return std::move(*tensor);
}

/// trits or signs: -1, 0, 1 (tensor/packing.h).
Result<Packing> Parser::parse_packing(DType dtype) {
  const Packing packing = in_.accept_word("trits")   ? Packing::trits
                          : in_.accept_word("signs") ? Packing::signs
                                                     : Packing::bits;
  if (packing != Packing::bits && dtype != DType::s4 && dtype != DType::s2)
    return in_.error("trits and signs of s4 or s2 only", narrow::to_string(dtype));
  return packing;
}

Result<Tensor> Parser::parse_blob(DType dtype, const Shape& shape, int64_t count) {
  NARROW_TRY(const int64_t offset, in_.integer());
  NARROW_TRY(const int64_t bytes, in_.integer());
  int64_t bits = bits_of(dtype);
  if (in_.accept_word("bits")) {
    NARROW_TRY(bits, in_.integer());
    if (!is_narrow_integer(dtype) || bits < 1 || bits >= bits_of(dtype))
      return in_.error("fewer bits than an integer type below 8 bits has",
                       fmt::format("{} of {}", bits, narrow::to_string(dtype)));
  }
  const auto size = static_cast<int64_t>(blob_.size());
  const bool fewer = bits < bits_of(dtype);
  Packing packing = Packing::bits;
  if (!fewer) {
    NARROW_TRY(packing, parse_packing(dtype));
  }
  const int64_t wanted = packing != Packing::bits ? unit_bytes(count, packing)
                         : fewer                  ? packed_bytes(count, static_cast<int>(bits))
                                                  : stored_bytes(dtype, count);
  if (offset < 0 || offset % 64 != 0 || bytes != wanted || offset > size || bytes > size - offset)
    return in_.error(fmt::format("{} bytes at a multiple of 64 inside the blob of {}", wanted, size),
                     fmt::format("{} at {}", bytes, offset));
  if (placements_ != nullptr) placements_->push_back({constant_, offset, bytes});
  const std::byte* data = blob_.data() + offset;
  if (packing != Packing::bits) return unpack_units(dtype, shape, data, packing);
  if (fewer) return unpack_from(dtype, shape, data, static_cast<int>(bits));
  if (is_narrow(dtype)) return unpack(dtype, shape, data);
  if (dtype == DType::boolean)
    for (int64_t i = 0; i < bytes; ++i)
      if (data[i] > std::byte{1})
        return in_.error("booleans of 0 and 1 in the blob", std::to_string(static_cast<int>(data[i])));
  Tensor borrowed = Tensor::borrow(dtype, shape, data, owner_);
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % static_cast<size_t>(bytes_of(dtype)) == 0;
  return aligned ? borrowed : borrowed.clone();
}

// ---------------------------------------------------------------- attributes

Result<Attributes> Parser::parse_attributes(int depth) {
  Attributes attrs;
  if (!in_.accept('{')) return attrs;
  if (in_.accept('}')) return attrs;
  do {
    NARROW_TRY(std::string key, in_.name());
    NARROW_DO(in_.expect('='));
    NARROW_TRY(Attribute value, parse_attribute(depth));
    if (!attrs.emplace(std::move(key), std::move(value)).second)
      return in_.error("attributes with names of their own");
  } while (in_.accept(','));
  NARROW_DO(in_.expect('}'));
  return attrs;
}

Result<Attribute> Parser::parse_attribute(int depth) {
  const char c = in_.peek();
  if (c == '[') return parse_list();
  if (c == '"') {
    NARROW_TRY(std::string value, in_.quoted());
    return Attribute(std::move(value));
  }
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter ? parse_word_attribute(depth) : parse_number();
}

Result<Attribute> Parser::parse_number() {
  NARROW_TRY(const std::string_view token, in_.number());
  if (text::looks_float(token)) {
    if (const auto value = text::read_float(token)) return Attribute(*value);
  } else if (const auto value = text::read_int(token)) {
    return Attribute(*value);
  }
  return in_.error("a number", "'" + std::string(token) + "'");
}

template <class T, class F>
Result<Attribute> converted(const Lexer& in, const std::vector<std::string_view>& tokens, F&& read) {
  std::vector<T> values;
  for (const std::string_view token : tokens) {
    const auto value = read(token);
    if (!value) return in.error("numbers of one kind", "'" + std::string(token) + "'");
    values.push_back(*value);
  }
  return Attribute(std::move(values));
}

Result<Attribute> Parser::parse_list() {
  Lexer ahead = in_;
  NARROW_DO(ahead.expect('['));
  if (ahead.peek() == '"') {
    std::vector<std::string> strings;
    NARROW_DO(in_.expect('['));
    do {
      NARROW_TRY(std::string value, in_.quoted());
      strings.push_back(std::move(value));
    } while (in_.accept(','));
    NARROW_DO(in_.expect(']'));
    return Attribute(std::move(strings));
  }
  NARROW_TRY(const auto tokens, in_.numbers());
  const auto as_float = [](std::string_view t) {
    return text::looks_float(t) ? text::read_float(t) : std::nullopt;
  };
  if (!tokens.empty() && text::looks_float(tokens[0])) return converted<float>(in_, tokens, as_float);
  return converted<int64_t>(in_, tokens, text::read_int);
}

/// inf, nan, floats[], strings[], a graph or a tensor.
Result<Attribute> Parser::parse_word_attribute(int depth) {
  Lexer ahead = in_;
  NARROW_TRY(const std::string_view word, ahead.word());
  if (word == "inf" || word == "nan") return parse_number();
  if (word == "graph") {
    NARROW_TRY(Graph graph, parse_graph(depth + 1));
    return Attribute(std::make_shared<Graph>(std::move(graph)));
  }
  if (word == "floats" || word == "strings") {
    in_ = ahead;
    NARROW_DO(in_.expect('['));
    NARROW_DO(in_.expect(']'));
    return word == "floats" ? Attribute(std::vector<float>()) : Attribute(std::vector<std::string>());
  }
  NARROW_TRY(const TensorType type, parse_type());
  if (type.dtype == DType::undefined) return Attribute(Tensor());
  NARROW_TRY(Tensor tensor, parse_data(type));
  return Attribute(std::move(tensor));
}

}  // namespace

Result<Graph> parse(std::string_view text, std::span<const std::byte> blob, std::shared_ptr<const void> owner,
                    const PackedSource& packed, std::vector<Placement>* placements) {
  return Parser(text, blob, std::move(owner), packed, placements).file();
}

Result<TensorType> parse_type(std::string_view text) { return Parser(text, {}, nullptr, {}, nullptr).type(); }

}  // namespace narrow::ir
