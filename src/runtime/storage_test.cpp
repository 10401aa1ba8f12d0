#include "runtime/storage.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "passes/pass.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

namespace narrow::runtime {
namespace {

using testing_graphs::graph_from;

int64_t bytes_in(const ir::Value* value) {
  return elements_of(value->type.shape()) * bytes_of(value->type.dtype);
}

bool overlap(const Location& a, int64_t a_bytes, const Location& b, int64_t b_bytes) {
  if (a.kind != b.kind || a.kind == Location::Kind::constant) return false;
  if (a.kind != Location::Kind::arena) return a.index == b.index;
  return a.index < b.index + b_bytes && b.index < a.index + a_bytes;
}

/// Walks the steps with what is written where: a step's result may only overwrite values nobody reads after
/// it, its own inputs among them only as a residual it is fused with.
void expect_sound(const ir::Graph& graph) {
  const std::vector<ir::Node*> order = graph.nodes();
  const Storage storage = assign_storage(graph, order, {{.end = order.size()}});
  std::map<const ir::Value*, size_t> last_read;
  for (size_t i = 0; i < order.size(); ++i)
    for (const ir::Value* input : order[i]->inputs())
      if (input != nullptr) last_read[input] = i;
  for (const ir::GraphOutput& output : graph.outputs()) last_read[output.value] = order.size();
  std::vector<const ir::Value*> alive(graph.inputs().begin(), graph.inputs().end());
  for (size_t i = 0; i < order.size(); ++i) {
    const ir::Node& node = *order[i];
    if (storage.is_alias(node)) {
      const Location &from = storage.at(node.input(0)), &to = storage.at(node.output());
      EXPECT_TRUE(from.kind == to.kind && from.index == to.index && from.constant == to.constant)
          << node.location();
      EXPECT_EQ(bytes_in(node.input(0)), bytes_in(node.output()));
      alive.push_back(node.output());
      continue;
    }
    for (const ir::Value* output : node.outputs()) {
      const Location& to = storage.at(output);
      EXPECT_TRUE(to.kind == Location::Kind::arena || to.kind == Location::Kind::output) << node.location();
      for (const ir::Value* other : alive) {
        if (!overlap(to, bytes_in(output), storage.at(other), bytes_in(other))) continue;
        const bool is_dead = !last_read.contains(other) || last_read[other] < i;
        const bool is_residual =
            other == node.input(3) && last_read[other] == i && node.op() == ir::Op::FusedConv;
        EXPECT_TRUE(is_dead || is_residual) << node.location() << " overwrites " << other->name;
      }
    }
    alive.insert(alive.end(), node.outputs().begin(), node.outputs().end());
  }
}

ir::Graph engine_graph(const std::string& text) {
  ir::Graph graph = graph_from(text);
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : testing_graphs::inputs_for(graph, 1)) shapes[name] = tensor.shape();
  const Status bound = ir::bind_shapes(graph, shapes);
  EXPECT_TRUE(bound.ok()) << bound.error().message();
  const auto passed = passes::run_passes(graph, passes::engine_passes(), {.evaluate = reference::evaluate});
  EXPECT_TRUE(passed.ok()) << passed.error().message();
  return graph;
}

TEST(Storage, NoStepOverwritesWhatIsStillRead) {
  for (const auto& list : {testing_graphs::float_graphs(), testing_graphs::narrow_graphs()})
    for (const auto& [name, text] : list) {
      SCOPED_TRACE(name);
      const ir::Graph portable = graph_from(text);
      const std::vector<ir::Value*> values = portable.values();
      if (std::all_of(values.begin(), values.end(), [](const ir::Value* v) { return v->type.is_static(); }))
        expect_sound(portable);
      expect_sound(engine_graph(text));
    }
}

Storage storage_of(const ir::Graph& graph) {
  const std::vector<ir::Node*> order = graph.nodes();
  return assign_storage(graph, order, {{.end = order.size()}});
}

TEST(Storage, ReshapesCostNothingAndKeepTheirMemoryAlive) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[64]) {
  @shape: s64[2] = [8,8]
  %a = Exp(%x)
  %b = Reshape(%a, @shape)
  %t = Transpose(%b) {perm=[1,0]}
  %c = Exp(%t)
  %d = Exp(%c)
  %e = Add(%b, %d)
  %y = Exp(%e)
  return %y as "y"
}
)");
  const Storage storage = storage_of(graph);
  EXPECT_EQ(storage.aliases.size(), 1U);
  EXPECT_EQ(storage.at(graph.find_value("a")).index, storage.at(graph.find_value("b")).index);
  EXPECT_EQ(storage.arena_bytes, 3 * 256);  // a with b lives on while two others take turns
  expect_sound(graph);
}

TEST(Storage, TransposesOfUnitAxesAreAliases) {
  const ir::Graph graph = graph_from(R"(graph g(%x: f32[1,4,1,3]) {
  %a = Transpose(%x) {perm=[0,2,1,3]}
  %b = Transpose(%x) {perm=[0,3,2,1]}
  %c = Add(%a, %a)
  return %b as "b", %c as "c"
}
)");
  const Storage storage = storage_of(graph);
  EXPECT_TRUE(storage.is_alias(*graph.find_value("a")->producer()));
  EXPECT_FALSE(storage.is_alias(*graph.find_value("b")->producer()));
}

TEST(Storage, SharedOutputsAreCopiedOnce) {
  const ir::Graph graph = graph_from(testing_graphs::float_graphs()[4].text);
  const Storage storage = storage_of(graph);
  EXPECT_EQ(storage.arena_bytes, 0);
  // x, reshaped x, y again, reshaped y and the constant; y itself is written in place.
  EXPECT_EQ(storage.copies.size(), 5U);
}

}  // namespace
}  // namespace narrow::runtime
