// What the passes share: looking at constants and readers, and putting a new node in the place of an old
// value.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace narrow::passes {

using ir::Attributes;
using ir::Graph;
using ir::Node;
using ir::Op;
using ir::Value;

// --- constants

/// The number behind a constant of one element, whatever its rank and type.
std::optional<double> scalar_constant(const Value* value);
/// A one-element constant equal to `expected` up to how it was written down: 1e-6 (relative) for decimal
/// roundings in FP32, half a unit in the last place for bf16 and f16.
bool is_scalar(const Value* value, double expected);
/// A constant's elements as integers.
std::optional<std::vector<int64_t>> int_constant(const Value* value);
/// True for a constant of an element type that can be computed with in FP32 (f32, f16, bf16, f64).
bool is_float_constant(const Value* value);
/// A float constant that broadcasts over a value of `rank` along `axis` only: its `channels` numbers (a
/// single number is repeated), or nothing when it spans another axis.
std::optional<std::vector<float>> per_channel(const Value* constant, int64_t rank, int64_t axis,
                                              int64_t channels);
Value* add_ints(Graph& graph, const std::string& name, const std::vector<int64_t>& values);
Value* add_floats(Graph& graph, const std::string& name, Shape shape, const std::vector<float>& values);

// --- readers and neighbours

/// The one node that reads `value`; nullptr when there are more, none, or it is a graph output.
Node* only_reader(const Graph& graph, const Value* value);
Node* only_reader(const Graph& graph, const Value* value, Op op);
/// The producer when it is an `op`, however many readers there are.
Node* producer_of(const Value* value, Op op);
/// The other operand of a node with two inputs.
Value* other_input(const Node* node, const Value* value);
/// Nothing outside `inside` reads what those nodes make, `result` aside.
bool only_used_inside(const Graph& graph, const std::unordered_set<const Node*>& inside, const Value* result);

// --- shapes

int64_t normalized_axis(int64_t axis, int64_t rank);
/// Both ranked, and every dimension the same number or the same symbol.
bool same_shape(const Value* a, const Value* b);
/// Dimension `axis` when it is known, else -1.
int64_t known_dim(const Value* value, int64_t axis);
/// Moving axes by `perm` leaves the elements where they are: axes longer than 1 keep their order.
bool is_reshape(const ir::TensorType& type, const std::vector<int64_t>& perm);
std::vector<int64_t> inverse_perm(const std::vector<int64_t>& perm);
/// Axes of a reduction, squeeze or unsqueeze: the constant input, or nothing when it is absent or not
/// constant.
std::optional<std::vector<int64_t>> axes_input(const Node* node, int input, int64_t rank);

// --- changing

/// Adds a node with one output and infers its type.
Result<Value*> emit(Graph& graph, Op op, std::vector<Value*> inputs, const std::string& name,
                    Attributes attrs = {});
/// Erases `node` when nothing it makes is read, and then what it alone read. Erased nodes stay valid to ask
/// is_dead of.
void erase_unread(Graph& graph, Node* node);
/// `fresh` takes the place of `old`: readers, name, origin, and type when it has none. Old's producer goes
/// when nothing else it makes is read.
void take_place(Graph& graph, Value* old, Value* fresh);
/// The attributes, with out_dtype when `result` is stored in another type than the op would make of `x`: a
/// pattern may begin in one float format and end in another.
Attributes stored_as(const Value* result, const Value* x, Attributes attrs = {});
/// A new node whose only output takes the place of `old`.
Node* replace_with(Graph& graph, Value* old, Op op, std::vector<Value*> inputs, Attributes attrs = {},
                   std::string node_name = {});

}  // namespace narrow::passes
