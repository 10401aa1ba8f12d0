// The operators narrow knows. ONNX names at their newest form (opset 23): the importer rewrites older forms.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace narrow::ir {

enum class Op : uint16_t {
#define NARROW_OP(name) name,
#include "ir/ops.inc"
#undef NARROW_OP
};

const char* to_string(Op op);
/// The op of that name, in the spelling of to_string().
std::optional<Op> parse_op(std::string_view name);

}  // namespace narrow::ir
