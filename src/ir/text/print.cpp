#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "base/hash.h"
#include "ir/text.h"
#include "ir/text/numbers.h"
#include "tensor/packing.h"

namespace narrow::ir {
namespace {

class Printer {
 public:
  explicit Printer(Blob* blob) : blob_(blob) {}
  std::string take() { return std::move(out_); }

  void graph(const Graph& graph, const std::string& indent) {
    out_ += "graph ";
    word(graph.name);
    out_ += '(';
    for (const Value* input : graph.inputs()) {
      if (input != graph.inputs().front()) out_ += ", ";
      typed(*input);
      origins({input});
    }
    out_ += ") {\n";
    for (const auto& [key, text] : graph.metadata) {
      out_ += indent + "  meta ";
      text::append_quoted(out_, key);
      out_ += " = ";
      text::append_quoted(out_, text);
      out_ += '\n';
    }
    for (const Value* value : graph.values())
      if (value->is_constant()) constant(*value, indent);
    for (const Node* n : graph.nodes()) node(*n, indent);
    returns(graph, indent);
    out_ += indent + "}";
  }
  void type(const TensorType& type) {
    out_ += narrow::to_string(type.dtype);
    if (type.ranked) {
      out_ += '[';
      for (size_t i = 0; i < type.dims.size(); ++i) {
        if (i > 0) out_ += ',';
        dim(type.dims[i]);
      }
      out_ += ']';
    }
    if (type.quant != nullptr) quantization(*type.quant);
  }

 private:
  template <class... Args>
  void write(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void word(const std::string& text) {
    if (text::is_bare(text))
      out_ += text;
    else
      text::append_quoted(out_, text);
  }
  void reference(const Value* value) {
    if (value == nullptr) {
      out_ += '-';
      return;
    }
    out_ += value->is_constant() ? '@' : '%';
    word(value->name);
  }

  // --- types
  void dim(const Dim& d) {
    if (d.known())
      write("{}", d.value);
    else if (d.symbol.empty())
      out_ += '?';
    else if (text::is_bare(d.symbol) && !(d.symbol[0] >= '0' && d.symbol[0] <= '9') && d.symbol[0] != '-')
      out_ += d.symbol;
    else
      text::append_quoted(out_, d.symbol);
  }
  /// Where `bytes` are in the blob, put there unless they are already.
  size_t place(const void* identity, std::span<const std::byte> bytes) {
    const size_t next = (blob_->bytes.size() + 63) / 64 * 64;
    const auto [known, fresh] = blob_->placed.emplace(std::pair(identity, bytes.size()), next);
    if (!fresh) return known->second;
    blob_->bytes.resize(next);
    blob_->bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return next;
  }
  bool goes_into_the_blob(const Quantization& q) const {
    return blob_ != nullptr && static_cast<int64_t>(q.scale.size()) > text::kMaxInlineElements &&
           std::all_of(q.zero_point.begin(), q.zero_point.end(), [](int32_t zero) { return zero == 0; });
  }
  void quantization(const Quantization& q) {
    out_ += '<';
    if (!q.per_tensor()) write("{};", q.axis);
    if (!q.per_tensor() && goes_into_the_blob(q)) {
      write("blob {} {}>", place(q.scale.data(), std::as_bytes(std::span(q.scale))), q.scale.size());
      return;
    }
    for (size_t i = 0; i < q.scale.size(); ++i) {
      if (i > 0) out_ += ',';
      text::append_float(out_, q.scale[i], false);
    }
    out_ += q.per_tensor() ? ',' : ';';
    for (size_t i = 0; i < q.zero_point.size(); ++i) write("{}{}", i > 0 ? "," : "", q.zero_point[i]);
    out_ += '>';
  }
  void typed(const Value& value) {
    reference(&value);
    out_ += ": ";
    type(value.type);
  }

  // --- data
  void data(const Tensor& tensor) {
    if (tensor.elements() <= text::kMaxInlineElements) {
      text::append_elements(out_, tensor);
      return;
    }
    const int bits = bits_used(tensor);
    const Packing packing = packing_of(tensor);
    const bool fewer = packing == Packing::bits && bits < bits_of(tensor.dtype());
    const std::string packed = packing != Packing::bits    ? pack_units(tensor, packing)
                               : fewer                     ? pack_into(tensor, bits)
                               : is_narrow(tensor.dtype()) ? pack(tensor)
                                                           : std::string();
    const std::span bytes(
        static_cast<const std::byte*>(is_narrow(tensor.dtype()) ? packed.data() : tensor.raw()),
        is_narrow(tensor.dtype()) ? packed.size() : static_cast<size_t>(tensor.bytes()));
    if (blob_ == nullptr) {
      out_ += "hash " + hash_hex(bytes);
      return;
    }
    write("blob {} {}", place(tensor.identity(), bytes), bytes.size());
    if (packing != Packing::bits) out_ += packing == Packing::trits ? " trits" : " signs";
    if (fewer) write(" bits {}", bits);
  }
  void constant(const Value& value, const std::string& indent) {
    out_ += indent + "  ";
    typed(value);
    out_ += " = ";
    const Tensor& tensor = value.constant();
    const bool large = tensor.elements() > text::kMaxInlineElements && blob_ != nullptr;
    const auto packed = large ? blob_->packed.find(tensor.identity()) : decltype(blob_->packed.end())();
    if (large && packed != blob_->packed.end())
      write("packed {}", packed->second);
    else
      data(tensor);
    origins({&value});
    out_ += '\n';
  }

  // --- nodes
  template <class T, class F>
  void list(const char* empty, const std::vector<T>& values, F&& print_one) {
    if (values.empty()) {
      out_ += empty;
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      out_ += i > 0 ? ',' : '[';
      print_one(values[i]);
    }
    out_ += ']';
  }
  struct AttributePrinter {
    Printer& p;
    const std::string& indent;
    void operator()(int64_t v) { p.write("{}", v); }
    void operator()(float v) { text::append_float(p.out_, v, true); }
    void operator()(const std::string& v) { text::append_quoted(p.out_, v); }
    void operator()(const std::vector<int64_t>& v) { p.list("[]", v, *this); }
    void operator()(const std::vector<float>& v) { p.list("floats[]", v, *this); }
    void operator()(const std::vector<std::string>& v) { p.list("strings[]", v, *this); }
    void operator()(const Tensor& v) {
      p.type(TensorType::of(v.dtype(), v.shape()));
      p.out_ += ' ';
      if (v.defined()) p.data(v);
    }
    void operator()(const std::shared_ptr<Graph>& v) {
      static const Graph kEmpty;
      p.graph(v ? *v : kEmpty, indent + "  ");
    }
  };
  void attributes(const Attributes& attrs, const std::string& indent) {
    if (attrs.empty()) return;
    bool first = true;
    for (const auto& [key, value] : attrs) {
      out_ += first ? " {" : ", ";
      first = false;
      word(key);
      out_ += '=';
      std::visit(AttributePrinter{*this, indent}, value);
    }
    out_ += '}';
  }
  void origins(const std::vector<const Value*>& values) {
    const auto has = [](const Value* v) { return !v->origin.empty() || !v->origin_perm.empty(); };
    if (std::none_of(values.begin(), values.end(), has)) return;
    for (size_t i = 0; i < values.size(); ++i) {
      out_ += i == 0 ? " origin " : ", ";
      if (!has(values[i])) {
        out_ += '-';
        continue;
      }
      text::append_quoted(out_, values[i]->origin);
      for (size_t k = 0; k < values[i]->origin_perm.size(); ++k)
        write("{}{}", k > 0 ? "," : " [", values[i]->origin_perm[k]);
      if (!values[i]->origin_perm.empty()) out_ += ']';
    }
  }
  void node(const Node& n, const std::string& indent) {
    out_ += indent + "  ";
    for (const Value* output : n.outputs()) {
      if (output != n.outputs().front()) out_ += ", ";
      typed(*output);
    }
    write(" = {}(", to_string(n.op()));
    for (size_t i = 0; i < n.inputs().size(); ++i) {
      if (i > 0) out_ += ", ";
      reference(n.inputs()[i]);
    }
    out_ += ')';
    attributes(n.attrs, indent);
    if (!n.name.empty()) {
      out_ += ' ';
      text::append_quoted(out_, n.name);
    }
    origins({n.outputs().begin(), n.outputs().end()});
    out_ += '\n';
  }
  void returns(const Graph& graph, const std::string& indent) {
    out_ += indent + "  return";
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      out_ += i > 0 ? ", " : " ";
      reference(graph.outputs()[i].value);
      out_ += " as ";
      text::append_quoted(out_, graph.outputs()[i].name);
    }
    out_ += '\n';
  }

  Blob* blob_;
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph, Blob* blob) {
  Printer printer(blob);
  printer.graph(graph, "");
  return printer.take() + "\n";
}

std::string print(const TensorType& type) {
  Printer printer(nullptr);
  printer.type(type);
  return printer.take();
}

}  // namespace narrow::ir
