#include <gtest/gtest.h>

#include "ir/schema.h"

namespace narrow::ir {
namespace {

constexpr Op kAll[] = {
#define NARROW_OP(name) Op::name,
#include "ir/ops.inc"
#undef NARROW_OP
};

TEST(SchemaTable, HasEveryOpOnceUnderItsName) {
  EXPECT_EQ(all_schemas().size(), std::size(kAll));
  for (const Op op : kAll) {
    EXPECT_EQ(schema(op).op, op);
    EXPECT_EQ(parse_op(to_string(op)), op);
  }
  EXPECT_FALSE(parse_op("NoSuchOp").has_value());
}

TEST(SchemaTable, EveryEntryIsComplete) {
  for (const OpSchema& op : all_schemas()) {
    SCOPED_TRACE(to_string(op.op));
    EXPECT_FALSE(op.doc.empty());
    EXPECT_NE(op.infer, nullptr);
    EXPECT_GE(op.since, 1);
    EXPECT_TRUE(op.domain.empty() || op.domain == "com.microsoft" || op.domain == "ai.onnx.preview" ||
                op.domain == "narrow");
    EXPECT_FALSE(op.outputs.empty());
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      EXPECT_FALSE(op.inputs[i].name.empty());
      EXPECT_TRUE(!op.inputs[i].variadic || i + 1 == op.inputs.size());
    }
  }
}

}  // namespace
}  // namespace narrow::ir
