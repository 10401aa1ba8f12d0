// For the tests of this folder: one node as text in, the types of its outputs as text out.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "ir/schema.h"
#include "ir/text.h"

namespace narrow::ir::ops {

/// `params` of a graph, then its constants and one node, e.g. {"%x: f32[2,3]", "%y = Relu(%x)", "f32[2,3]"}.
/// `expected`: the outputs' types separated by blanks, or "error: " and a part of the message.
struct SchemaCase {
  const char* params;
  const char* body;
  const char* expected;
};
inline void PrintTo(const SchemaCase& c, std::ostream* out) {
  *out << "graph (" << c.params << ") { " << c.body << " }";
}

inline std::string inferred_text(const SchemaCase& c) {
  auto graph = parse("graph (" + std::string(c.params) + ") {" + c.body + " return}");
  if (!graph.ok()) return "text: " + graph.error().message();
  std::string text;
  for (Node* node : graph->nodes()) {
    if (const Status status = infer_types(*node); !status.ok()) return "error: " + status.error().message();
    text.clear();
    for (const Value* output : node->outputs()) text += (text.empty() ? "" : " ") + to_string(output->type);
  }
  return text;
}

inline void expect_schema_case(const SchemaCase& c) {
  const std::string got = inferred_text(c);
  const std::string expected = c.expected;
  if (!expected.starts_with("error: ")) {
    EXPECT_EQ(got, expected);
    return;
  }
  EXPECT_EQ(got.substr(0, 7), "error: ") << got;
  EXPECT_NE(got.find(expected.substr(7)), std::string::npos) << got;
}

}  // namespace narrow::ir::ops

/// A table of cases as a test suite of that name.
#define NARROW_SCHEMA_CASES(Suite, ...)                                        \
  class Suite : public testing::TestWithParam<narrow::ir::ops::SchemaCase> {}; \
  TEST_P(Suite, Infers) { narrow::ir::ops::expect_schema_case(GetParam()); }   \
  INSTANTIATE_TEST_SUITE_P(Table, Suite,                                       \
                           testing::ValuesIn(std::vector<narrow::ir::ops::SchemaCase> __VA_ARGS__))
