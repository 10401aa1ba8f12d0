// Every operator under random inputs and attributes out of a malicious file: inference ends in an error or in
// types whose sizes fit, and gives the same again.
#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "ir/schema.h"

namespace narrow::ir {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max(), kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kNumbers[] = {0,
                                1,
                                1,
                                1,
                                2,
                                2,
                                3,
                                4,
                                8,
                                -1,
                                -1,
                                -2,
                                -3,
                                64,
                                65,
                                kMax,
                                kMin,
                                kMax - 1,
                                int64_t{1} << 31,
                                int64_t{1} << 62};
constexpr const char* kIntAttrs[] = {
    "axis",       "group",  "ceil_mode",   "channels_last", "keepdims",     "noop_with_empty_axes",
    "transA",     "transB", "num_outputs", "blocksize",     "batch_dims",   "allowzero",
    "start",      "end",    "to",          "dtype",         "output_dtype", "block_size",
    "num_groups", "size",   "q_num_heads", "kv_num_heads"};
constexpr const char* kListAttrs[] = {"kernel_shape",   "strides",      "pads", "dilations",
                                      "output_padding", "output_shape", "perm", "axes"};
constexpr const char* kTextAttrs[] = {"auto_pad", "equation", "out_dtype", "keep_aspect_ratio_policy",
                                      "coordinate_transformation_mode"};
constexpr const char* kTexts[] = {
    "",  "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID",      "ij,jk->ik",   "...i->i...",        "->",
    ",", "i->ii",  "u8",         "bf16",       "not_larger", "not_smaller", "tf_crop_and_resize"};

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed) {}
  bool chance(double p) { return random_.uniform() < p; }
  template <class T, size_t n>
  const T& pick(const T (&from)[n]) {
    return from[random_.next() % n];
  }
  int64_t number() { return pick(kNumbers); }
  int64_t small(int64_t high) { return random_.integer(0, high); }

  Dim dim() {
    if (chance(0.2)) return Dim();
    if (chance(0.2)) return Dim(chance(0.5) ? "N" : "M");
    const int64_t value = chance(0.1) ? number() : small(8);
    return Dim(value < 0 ? 0 : value);
  }
  TensorType type(DType dtype) {
    if (chance(0.1)) return TensorType::unranked(dtype);
    TensorType type = TensorType::of(dtype, {});
    for (int64_t rank = chance(0.5) ? 4 : small(5); rank > 0; --rank) type.dims.push_back(dim());
    if (is_int8(dtype) && chance(0.7))
      type.quant = std::make_shared<Quantization>(Quantization{{0.5F}, {0}, -1});
    return type;
  }
  Tensor constant(DType dtype) {
    Shape shape;
    if (chance(0.8)) shape.push_back(small(5));
    Tensor tensor = Tensor::allocate(DType::s64, shape);
    for (int64_t& v : tensor.mutable_data<int64_t>()) v = number();
    return cast(tensor, dtype);
  }
  DType dtype(const Parameter& parameter) {
    if (parameter.types.empty()) return static_cast<DType>(1 + random_.next() % 13);
    const std::vector<DType> types = parameter.types.list();
    return types[random_.next() % types.size()];
  }
  Value* input(Graph& graph, const Parameter& parameter) {
    if (chance(parameter.optional ? 0.3 : 0.01)) return nullptr;
    const DType type_of_input =
        chance(0.5) && (parameter.types.empty() || parameter.types.contains(DType::f32)) ? DType::f32
                                                                                         : dtype(parameter);
    return chance(0.4) ? graph.add_constant("c", constant(type_of_input))
                       : graph.add_input("x", type(type_of_input));
  }
  Attributes attributes() {
    Attributes attrs;
    for (const char* name : kIntAttrs)
      if (chance(0.25)) attrs[name] = chance(0.5) ? small(2) : number();
    for (const char* name : kListAttrs) {
      if (!chance(0.3)) continue;
      std::vector<int64_t> list(static_cast<size_t>(chance(0.5) ? 2 * small(2) : small(5)));
      for (int64_t& v : list) v = chance(0.7) ? small(3) : number();
      attrs[name] = list;
    }
    for (const char* name : kTextAttrs)
      if (chance(0.3)) attrs[name] = std::string(pick(kTexts));
    if (chance(0.3)) attrs["value"] = constant(DType::f32);
    return attrs;
  }

 private:
  Random random_;
};

void try_once(const OpSchema& op, Chaos& chaos, int64_t& inferred) {
  Graph graph;
  std::vector<Value*> inputs;
  for (const Parameter& parameter : op.inputs)
    for (int64_t n = parameter.variadic ? chaos.small(4) : 1; n > 0; --n)
      inputs.push_back(chaos.input(graph, parameter));
  std::vector<std::string> outputs(static_cast<size_t>(chaos.chance(0.9) ? 1 : chaos.small(4)), "y");
  Node* node = graph.add_node(op.op, inputs, outputs, chaos.attributes());
  if (!infer_types(*node).ok()) return;
  ++inferred;
  for (const Value* output : node->outputs()) {
    int64_t bytes = bytes_of(output->type.dtype);
    EXPECT_GT(bytes, 0);
    for (const Dim& d : output->type.dims) {
      EXPECT_GE(d.value, -1);
      EXPECT_FALSE(d.value > 1 && __builtin_mul_overflow(bytes, d.value, &bytes));
    }
  }
  const std::vector<Value*> made = node->outputs();
  std::vector<TensorType> first;
  for (const Value* output : made) first.push_back(output->type);
  ASSERT_TRUE(infer_types(*node).ok());
  for (size_t i = 0; i < made.size(); ++i) EXPECT_EQ(made[i]->type, first[i]);
}

TEST(HostileNodes, EndInAnErrorOrInSizesThatFit) {
  for (const OpSchema& op : all_schemas()) {
    SCOPED_TRACE(to_string(op.op));
    Chaos chaos(static_cast<uint64_t>(op.op));
    int64_t inferred = 0;
    for (int round = 0; round < 1000; ++round) try_once(op, chaos, inferred);
    if (::testing::Test::HasFailure()) return;
    RecordProperty(to_string(op.op), std::to_string(inferred));
  }
}

}  // namespace
}  // namespace narrow::ir
