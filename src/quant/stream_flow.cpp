#include "quant/stream_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "passes/match.h"
#include "quant/factor_flow.h"

namespace narrow::quant {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;
using passes::known_dim;

bool is_f32(const Value* value) {
  return value != nullptr && value->type.dtype == DType::f32 && !value->type.quant;
}

bool is_matrix(const Value* value) {
  return value != nullptr && value->is_constant() && is_f32(value) && value->constant().rank() == 2;
}

int64_t last_dim(const Value* value) {
  return value->type.ranked && value->type.rank() > 0 ? known_dim(value, value->type.rank() - 1) : -1;
}

/// Values whose rows would be turned by one matrix have one number. Where a number is met that must not be
/// turned, it is pinned, with the first reason.
class Flow {
 public:
  explicit Flow(const ir::Graph& graph) : norms_(find_norms(graph)) {
    for (const NormSite& site : norms_) within_.insert(site.inside.begin(), site.inside.end());
    for (const Value* input : graph.inputs()) pin(input, "is an input of the model");
    for (Node* node : graph.nodes()) visit(node);
    for (const ir::GraphOutput& output : graph.outputs()) pin(output.value, "is a result of the model");
  }

  Streams take() {
    for (const NormSite& site : norms_) check(site);
    Streams found;
    std::map<int, size_t> stream_of;
    for (const NormSite& site : norms_) {
      const int id = find(site.x);
      const auto [it, fresh] = stream_of.try_emplace(id, found.streams.size());
      if (!fresh) continue;
      if (const std::string reason = obstacle(id); reason.empty())
        found.streams.push_back(collect(id, last_dim(site.x)));
      else
        found.left_alone.push_back({site.x->name, reason});
    }
    return found;
  }

 private:
  struct Touch {
    int id;
    StreamConstant constant;
  };

  int find(const Value* value) {
    const auto [it, fresh] = ids_.try_emplace(value, 0);
    if (fresh) it->second = sets_.fresh();
    return sets_.find(it->second);
  }
  void pin(const Value* value, const std::string& reason) {
    if (is_f32(value)) pinned_.emplace_back(find(value), fmt::format("'{}' {}", value->name, reason));
  }
  void refuse(const Node* node) {
    for (const Value* input : node->inputs())
      if (input != nullptr && !input->is_constant()) pin(input, "is read by " + node->location());
    for (const Value* output : node->outputs()) pin(output, "is made by " + node->location());
  }
  std::string obstacle(int id) const {
    for (const auto& [pinned, reason] : pinned_)
      if (sets_.find(pinned) == id) return reason;
    const auto touches = [&](const Touch& t) { return sets_.find(t.id) == id; };
    return std::none_of(writers_.begin(), writers_.end(), touches) ? "nothing with constants writes it" : "";
  }

  void visit(Node* node) {
    if (within_.contains(node) || node->op() == Op::Shape || node->op() == Op::Size) return;
    if (node->outputs().size() != 1 || !is_f32(node->output()) || last_dim(node->output()) < 0 ||
        !follow(node))
      refuse(node);
  }

  /// Whether the node is one that rows of numbers go through, or a product.
  bool follow(Node* node) {
    switch (node->op()) {
      case Op::MatMul:
      case Op::Gemm:
        return product(node);
      case Op::Gather:
        return table(node) || (not_last(node) && moves(node));
      case Op::Add:
      case Op::Sub:
        return sum(node);
      case Op::Mul:
      case Op::Div:
        return scaled(node);
      case Op::Transpose: {
        const auto perm = node->ints_attr("perm");
        return !perm.empty() && perm.back() + 1 == std::ssize(perm) && moves(node);
      }
      case Op::Concat:
        return concat(node);
      case Op::Expand:
        return expand(node);
      case Op::Identity:
      case Op::Neg:
      case Op::Reshape:
      case Op::Flatten:
      case Op::Squeeze:
      case Op::Unsqueeze:
        return moves(node);
      case Op::Slice:
        return slice(node) && moves(node);
      case Op::ReduceMean:
      case Op::ReduceSum:
        return reduces_others(node) && moves(node);
      default:
        return false;
    }
  }

  bool unite(const Value* a, const Value* b) {
    if (!is_f32(a) || !is_f32(b) || a->is_constant() || last_dim(a) < 0 || last_dim(a) != last_dim(b))
      return false;
    find(a), find(b);
    sets_.unite(ids_.at(a), ids_.at(b));
    return true;
  }
  /// Rows stay rows: the last extent does.
  bool moves(const Node* node) { return unite(node->input(0), node->output()); }

  bool not_last(const Node* node) {
    const int64_t rank = node->input(0)->type.rank();
    return passes::normalized_axis(node->int_attr("axis", 0), rank) != rank - 1;
  }
  static bool slice(const Node* node) {
    const Value* x = node->input(0);
    const auto axes = node->input(3) != nullptr ? passes::axes_input(node, 3, x->type.rank()) : std::nullopt;
    return axes && std::find(axes->begin(), axes->end(), x->type.rank() - 1) == axes->end();
  }
  static bool reduces_others(const Node* node) {
    const auto axes = passes::axes_input(node, 1, node->input(0)->type.rank());
    return axes && !axes->empty() &&
           std::find(axes->begin(), axes->end(), node->input(0)->type.rank() - 1) == axes->end();
  }

  bool product(Node* node) {
    const Value *x = node->input(0), *w = node->input(1), *bias = node->input(2);
    const bool gemm = node->op() == Op::Gemm;
    if (!is_matrix(w) || !is_f32(x) || x->is_constant() || !x->type.ranked || x->type.rank() < 2)
      return false;
    if (gemm && node->int_attr("transA", 0) != 0) return false;
    const int64_t in = gemm && node->int_attr("transB", 0) != 0 ? 1 : 0;
    const int64_t results = w->constant().dim(1 - in);
    if (bias != nullptr && (!is_f32(bias) || !passes::per_channel(bias, 2, 1, results))) return false;
    readers_.push_back({find(x), {node, 1, in}});
    writers_.push_back({find(node->output()), {node, 1, 1 - in}});
    if (bias != nullptr) writers_.push_back({find(node->output()), {node, 2, -1}});
    return true;
  }

  bool table(Node* node) {
    if (!is_matrix(node->input(0)) || passes::normalized_axis(node->int_attr("axis", 0), 2) != 0)
      return false;
    writers_.push_back({find(node->output()), {node, 0, 1}});
    return true;
  }

  /// A constant whose last extent is that of the result, or one number for all of its channels.
  bool added(Node* node, int input) {
    const Value* c = node->input(input);
    const int64_t extent = last_dim(node->output());
    if (!is_f32(c) || (c->constant().rank() > 0 && last_dim(c) != extent && last_dim(c) != 1)) return false;
    writers_.push_back({find(node->output()), {node, input, -1}});
    return true;
  }

  bool sum(Node* node) {
    for (int i = 0; i < 2; ++i)
      if (node->input(i)->is_constant()) return unite(node->input(1 - i), node->output()) && added(node, i);
    return unite(node->input(0), node->output()) && unite(node->input(1), node->output());
  }

  bool scaled(const Node* node) {
    const bool second = passes::scalar_constant(node->input(1)).has_value();
    if (!second && (node->op() == Op::Div || !passes::scalar_constant(node->input(0)))) return false;
    return unite(node->input(second ? 0 : 1), node->output());
  }

  bool concat(Node* node) {
    const int64_t rank = node->output()->type.rank();
    if (passes::normalized_axis(node->int_attr("axis", 0), rank) == rank - 1) return false;
    for (int i = 0; i < static_cast<int>(node->inputs().size()); ++i) {
      const Value* x = node->input(i);
      const bool constant = x->is_constant() && last_dim(x) == last_dim(node->output());
      if (constant ? !added(node, i) : !unite(x, node->output())) return false;
    }
    return true;
  }

  bool expand(Node* node) {
    const Value* x = node->input(0);
    return x->is_constant() ? last_dim(x) == last_dim(node->output()) && added(node, 0) : moves(node);
  }

  /// What is normalised lets a matrix pass only where products alone read the result.
  void check(const NormSite& site) {
    const int id = find(site.result);
    std::string reason;
    for (const auto& [pinned, why] : pinned_)
      if (reason.empty() && sets_.find(pinned) == id) reason = why;
    for (const Touch& t : writers_)
      if (sets_.find(t.id) == id && reason.empty())
        reason =
            fmt::format("'{}' is added to what {} makes", site.result->name, t.constant.node->location());
    for (const NormSite& other : norms_)
      if (reason.empty() && (find(other.x) == id || (&other != &site && find(other.result) == id)))
        reason = fmt::format("'{}' reaches another normalisation", site.result->name);
    if (reason.empty()) return;
    pinned_.emplace_back(find(site.x), reason);
    pinned_.emplace_back(id, fmt::format("'{}' is made by a normalisation", site.result->name));
  }

  Stream collect(int id, int64_t channels) {
    Stream stream{channels, of(writers_, id), of(readers_, id), {}};
    for (const NormSite& site : norms_)
      if (find(site.x) == id) stream.norms.push_back({site, of(readers_, find(site.result))});
    return stream;
  }
  std::vector<StreamConstant> of(const std::vector<Touch>& touches, int id) const {
    std::vector<StreamConstant> list;
    for (const Touch& t : touches)
      if (sets_.find(t.id) == id) list.push_back(t.constant);
    return list;
  }

  std::vector<NormSite> norms_;
  std::unordered_set<const Node*> within_;
  UnionFind sets_;
  std::unordered_map<const Value*, int> ids_;
  std::vector<std::pair<int, std::string>> pinned_;
  std::vector<Touch> writers_, readers_;
};

}  // namespace

Streams find_streams(const ir::Graph& graph) { return Flow(graph).take(); }

}  // namespace narrow::quant
