// Unary functions and binary arithmetic -> kernels/elementwise.
#include "kernels/elementwise/elementwise.h"

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "runtime/lower/format.h"
#include "runtime/lower/lower.h"

namespace narrow::runtime::lower {
namespace {

using ir::Op;
using kernels::Act;
using kernels::Binary;
using kernels::Unary;
using kernels::UnaryFunction;

UnaryFunction activation(Act kind, float alpha = 0, float beta = 0) {
  return {.kind = Unary::activation, .activation = {.kind = kind, .alpha = alpha, .beta = beta}};
}

std::optional<float> scalar(const NodeCase& c, int i, float absent) {
  if (!c.has(i)) return absent;
  const Tensor* constant = c.constant(i);
  if (constant == nullptr || constant->elements() != 1) return std::nullopt;
  return to_floats(*constant)[0];
}

std::optional<UnaryFunction> clip(const NodeCase& c) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto low = scalar(c, 1, -kInf), high = scalar(c, 2, kInf);
  if (!low || !high || !(*low <= *high)) return std::nullopt;
  return activation(Act::clip, *low, *high);
}

/// The node's function, or nothing when its parameters are not those kernels know.
std::optional<UnaryFunction> function_of(const NodeCase& c) {
  const ir::Node& node = c.node;
  switch (node.op()) {
    case Op::Relu:
      return activation(Act::relu);
    case Op::Clip:
      return clip(c);
    case Op::LeakyRelu:
      return activation(Act::leaky_relu, node.float_attr("alpha", 0.01F));
    case Op::Elu:
      return activation(Act::elu, node.float_attr("alpha", 1.0F));
    case Op::Sigmoid:
      return activation(Act::sigmoid);
    case Op::Tanh:
      return activation(Act::tanh);
    case Op::HardSigmoid:
      return activation(Act::hard_sigmoid, node.float_attr("alpha", 0.2F), node.float_attr("beta", 0.5F));
    case Op::HardSwish:
      return activation(Act::hard_swish);
    case Op::Mish:
      return activation(Act::mish);
    case Op::Gelu:
      return activation(node.string_attr("approximate", "none") == "tanh" ? Act::gelu_tanh : Act::gelu);
    case Op::Swish:
      return node.float_attr("alpha", 1.0F) == 1.0F ? std::optional(activation(Act::silu)) : std::nullopt;
    case Op::Exp:
      return UnaryFunction{.kind = Unary::exp};
    case Op::Log:
      return UnaryFunction{.kind = Unary::log};
    case Op::Sqrt:
      return UnaryFunction{.kind = Unary::sqrt};
    case Op::Reciprocal:
      return UnaryFunction{.kind = Unary::reciprocal};
    case Op::Abs:
      return UnaryFunction{.kind = Unary::abs};
    case Op::Neg:
      return UnaryFunction{.kind = Unary::neg};
    case Op::Sign:
      return UnaryFunction{.kind = Unary::sign};
    case Op::Erf:
      return UnaryFunction{.kind = Unary::erf};
    case Op::Floor:
      return UnaryFunction{.kind = Unary::floor};
    case Op::Ceil:
      return UnaryFunction{.kind = Unary::ceil};
    case Op::Round:
      return UnaryFunction{.kind = Unary::round};
    case Op::Sin:
      return UnaryFunction{.kind = Unary::sin};
    case Op::Cos:
      return UnaryFunction{.kind = Unary::cos};
    case Op::Tan:
      return UnaryFunction{.kind = Unary::tan};
    case Op::Atan:
      return UnaryFunction{.kind = Unary::atan};
    case Op::Softplus:
      return UnaryFunction{.kind = Unary::softplus};
    case Op::Softsign:
      return UnaryFunction{.kind = Unary::softsign};
    default:
      return std::nullopt;
  }
}

std::string unary_unsupported(const NodeCase& c) {
  if (!has_format(c.in(0)) || !has_format(c.out())) return "types are not float or 8-bit per tensor";
  return function_of(c) ? "" : "parameters are not constant scalars";
}

/// An 8-bit source has 256 values: the function becomes a table when the plan is made.
Result<std::unique_ptr<Kernel>> create_unary(const NodeCase& c) {
  const kernels::UnarySpec spec{.function = *function_of(c),
                                .src = format_of(c.in(0)),
                                .dst = format_of(c.out()),
                                .count = elements_of(c.out().shape())};
  const Isa isa = c.isa;
  if (is_int8(spec.src.type))
    return make_kernel(
        [table = kernels::unary_table(spec), spec, isa](const StepBuffers& b, ThreadPool& pool) {
          kernels::unary_lookup(table, b.inputs[0], b.outputs[0], spec.count, isa, pool);
        });
  return make_kernel([spec, isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::unary(spec, b.inputs[0], b.outputs[0], isa, pool);
  });
}

const std::map<Op, Binary> kBinary = {
    {Op::Add, Binary::add}, {Op::Sub, Binary::sub}, {Op::Mul, Binary::mul}, {Op::Div, Binary::div},
    {Op::Pow, Binary::pow}, {Op::Min, Binary::min}, {Op::Max, Binary::max}, {Op::PRelu, Binary::prelu}};

std::string make_binary(const NodeCase& c, kernels::BinarySpec& spec) {
  if (c.node.inputs().size() != 2) return fmt::format("{} inputs: wants 2", c.node.inputs().size());
  if (!has_format(c.in(0)) || !has_format(c.in(1)) || !has_format(c.out()))
    return "types are not float or 8-bit per tensor";
  spec.op = kBinary.at(c.node.op());
  spec.a = format_of(c.in(0));
  spec.b = format_of(c.in(1));
  spec.dst = format_of(c.out());
  if (!read_activation(c.node, spec.activation)) return "unknown activation";
  return spec.set_shapes(c.in(0).shape(), c.in(1).shape()) ? "" : "too many axes";
}

Result<std::unique_ptr<Kernel>> create_binary(const NodeCase& c) {
  kernels::BinarySpec spec;
  NARROW_CHECK(make_binary(c, spec).empty());
  return make_kernel([spec, isa = c.isa](const StepBuffers& b, ThreadPool& pool) {
    kernels::binary(spec, b.inputs[0], b.inputs[1], b.outputs[0], isa, pool);
  });
}

}  // namespace

void add_elementwise(Table& table) {
  for (const Op op :
       {Op::Relu,       Op::Clip, Op::LeakyRelu, Op::Elu,   Op::Sigmoid, Op::Tanh,     Op::HardSigmoid,
        Op::HardSwish,  Op::Mish, Op::Gelu,      Op::Swish, Op::Exp,     Op::Log,      Op::Sqrt,
        Op::Reciprocal, Op::Abs,  Op::Neg,       Op::Sign,  Op::Erf,     Op::Floor,    Op::Ceil,
        Op::Round,      Op::Sin,  Op::Cos,       Op::Tan,   Op::Atan,    Op::Softplus, Op::Softsign})
    table[op].push_back({.name = "unary",
                         .isa = Isa::plain,
                         .unsupported = unary_unsupported,
                         .create = create_unary,
                         .formats = "f32 bf16 f16 u8 s8"});
  for (const auto& [op, kind] : kBinary)
    table[op].push_back({.name = "binary",
                         .isa = Isa::plain,
                         .unsupported =
                             [](const NodeCase& c) {
                               kernels::BinarySpec spec;
                               return make_binary(c, spec);
                             },
                         .create = create_binary,
                         .formats = "f32 bf16 f16 u8 s8"});
}

}  // namespace narrow::runtime::lower
