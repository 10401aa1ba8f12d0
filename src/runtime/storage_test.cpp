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

/// Kernels that leave room between pixels: those of Concats, and of convolutions without a residual; that
/// read pixels that are apart: those of Concats, Splits, Slices and depthwise convolutions.
bool pitches(const ir::Node& node, const Pitches& pitches) {
  if (node.op() == ir::Op::Concat) return true;
  if (node.op() == ir::Op::Split || node.op() == ir::Op::Slice) return pitches.dst == 0;
  return node.op() == ir::Op::FusedConv && node.input(3) == nullptr &&
         (pitches.src == 0 || node.int_attr("group", 1) > 1);
}

/// Whether an output of a Split or Slice lies in the input.
bool stays_in_input(const Storage& storage, const ir::Node& node, size_t output) {
  const auto found = storage.placed.find(&node);
  return node.op() != ir::Op::Concat && found != storage.placed.end() && found->second.at(output);
}

struct Place {
  const Location& at;
  int64_t bytes, channel_bytes;  // without what lies between the pixels; of one pixel (elements of one byte
                                 // are all that is pitched here)

  Place(const Storage& storage, const ir::Value* value)
      : at(storage.at(value)),
        bytes(bytes_in(value)),
        channel_bytes(
            value->type.dims.empty() ? bytes : value->type.dims.back().value * bytes_of(value->type.dtype)) {}
  int64_t end() const {
    return at.index + (at.pitch == 0 ? bytes : (bytes / channel_bytes - 1) * at.pitch + channel_bytes);
  }
};

bool overlap(const Place& a, const Place& b) {
  if (a.at.kind != b.at.kind || a.at.kind == Location::Kind::constant) return false;
  if (a.at.kind != Location::Kind::arena) return a.at.index == b.at.index;
  const int64_t apart = b.at.index - a.at.index;
  if (a.at.pitch > 0 && a.at.pitch == b.at.pitch && apart > -a.at.pitch && apart < a.at.pitch)
    return apart < a.channel_bytes && -apart < b.channel_bytes;  // channels beside channels
  return a.at.index < b.end() && b.at.index < a.end();
}

/// The value in whose memory a piece of it lies; itself, if it is none.
const ir::Value* cut_from(const Storage& storage, const ir::Value* value) {
  const ir::Node* node = value->producer();
  const bool cut = node != nullptr && (node->op() == ir::Op::Split || node->op() == ir::Op::Slice) &&
                   storage.at(value).pitch > 0;
  return cut ? cut_from(storage, node->input(0)) : value;
}

/// Walks the steps with what is written where: a step's result may only overwrite values nobody reads after
/// it, its own inputs among them only as a residual it is fused with.
void expect_sound(const ir::Graph& graph) {
  const std::vector<ir::Node*> order = graph.nodes();
  const Storage storage = assign_storage(graph, order, {{.end = order.size()}}, pitches);
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
      const bool cuts = node.op() == ir::Op::Split || node.op() == ir::Op::Slice;
      const bool same_place = from.kind == to.kind && from.constant == to.constant;
      EXPECT_TRUE(same_place && (cuts || from.index == to.index)) << node.location();
      EXPECT_TRUE(cuts || node.op() == ir::Op::Concat || bytes_in(node.input(0)) == bytes_in(node.output()));
      alive.insert(alive.end(), node.outputs().begin(), node.outputs().end());
      continue;
    }
    for (size_t o = 0; o < node.outputs().size(); ++o) {
      const ir::Value* output = node.outputs()[o];
      if (stays_in_input(storage, node, o)) continue;
      const Location& to = storage.at(output);
      EXPECT_TRUE(to.kind == Location::Kind::arena || to.kind == Location::Kind::output) << node.location();
      for (const ir::Value* other : alive) {
        if (!overlap({storage, output}, {storage, other})) continue;
        const bool is_dead = !last_read.contains(other) || last_read[other] < i;
        const bool is_residual =
            other == node.input(3) && last_read[other] == i && node.op() == ir::Op::FusedConv;
        const ir::Value* whole = cut_from(storage, other);
        const bool is_placed =
            std::find(node.inputs().begin(), node.inputs().end(), whole) != node.inputs().end() &&
            node.op() == ir::Op::Concat && storage.at(whole).pitch > 0;
        EXPECT_TRUE(is_dead || is_residual || is_placed) << node.location() << " overwrites " << other->name;
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
  return assign_storage(graph, order, {{.end = order.size()}}, pitches);
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

/// Two convolutions write their channels where the Concat would have copied them; the third has a residual,
/// or another reader, or another scale, and the Concat stays.
TEST(Storage, ConcatsOfConvolutionsTakeNoStep) {
  for (const bool in_place : {true, false}) {
    const ir::Graph graph = engine_graph(testing_graphs::concat_graph(in_place));
    const std::vector<ir::Node*> order = graph.nodes();
    expect_sound(graph);
    const Storage storage = storage_of(graph);
    int concats = 0;
    for (const ir::Node* node : order) {
      if (node->op() != ir::Op::Concat) continue;
      ++concats;
      EXPECT_EQ(storage.is_alias(*node), in_place);
      if (!in_place) continue;
      EXPECT_EQ(storage.at(node->input(0)).index, storage.at(node->output()).index);
      EXPECT_EQ(storage.at(node->input(1)).index, storage.at(node->output()).index + 4);
      EXPECT_EQ(storage.at(node->input(1)).pitch, 12);
    }
    EXPECT_EQ(concats, 1);
  }
}

/// A chain of Concats lies in the last one's memory, read where it lies.
TEST(Storage, ConcatsOfConcatsShareOnePiece) {
  const ir::Graph graph = engine_graph(testing_graphs::dense_graph());
  expect_sound(graph);
  const Storage storage = storage_of(graph);
  std::vector<const ir::Node*> concats;
  for (const ir::Node* node : graph.nodes())
    if (node->op() == ir::Op::Concat) concats.push_back(node);
  ASSERT_EQ(concats.size(), 2U);
  for (const ir::Node* concat : concats) {
    EXPECT_TRUE(storage.is_alias(*concat));
    EXPECT_EQ(storage.placed.at(concat), (std::vector<bool>{true, true}));
    for (const ir::Value* input : concat->inputs()) EXPECT_EQ(storage.pitch_of(input), 16);
  }
  const int64_t begin = storage.at(concats[1]->output()).index;
  EXPECT_EQ(storage.pitch_of(concats[1]->output()), 0);
  EXPECT_EQ(storage.at(concats[0]->output()).index, begin);
  EXPECT_EQ(storage.at(concats[0]->input(1)).index, begin + 8);
  EXPECT_EQ(storage.at(concats[1]->input(1)).index, begin + 12);
}

/// Who reads one half finds it in what was cut; all of that lies in the Concat behind.
TEST(Storage, SplitsOfChannelsAreReadInPlace) {
  const ir::Graph graph = engine_graph(testing_graphs::split_graph());
  expect_sound(graph);
  const std::vector<ir::Node*> order = graph.nodes();
  const CanPitch all = [](const ir::Node& node, const Pitches& wanted) {
    const bool conv = node.op() == ir::Op::FusedConv && (wanted.dst == 0 || node.input(3) == nullptr);
    return conv || pitches(node, wanted);
  };
  for (const bool dense_convolutions_too : {true, false}) {
    const Storage storage = assign_storage(graph, order, {{.end = order.size()}},
                                           dense_convolutions_too ? all : CanPitch(pitches));
    int splits = 0, slices = 0;
    for (const ir::Node* node : order) {
      const Location& from = storage.at(node->input(0));
      if (node->op() == ir::Op::Split) {
        ++splits;
        EXPECT_EQ(storage.placed.at(node), (std::vector<bool>{true, dense_convolutions_too}));
        EXPECT_EQ(storage.is_alias(*node), dense_convolutions_too);
        EXPECT_EQ(from.pitch, 24);
        EXPECT_EQ(storage.at(node->output(0)).index, from.index);
        EXPECT_EQ(storage.at(node->output(0)).pitch, 24);
        EXPECT_TRUE(!dense_convolutions_too || storage.at(node->output(1)).index == from.index + 8);
      }
      if (node->op() != ir::Op::Slice) continue;
      ++slices;
      const bool residual = node->output()->type.dims[3].value == 8;
      EXPECT_EQ(storage.is_alias(*node), !residual);
      EXPECT_TRUE(residual || storage.at(node->output()).index == from.index + 3);
    }
    EXPECT_EQ(splits, 1);
    EXPECT_EQ(slices, 2);
  }
}

}  // namespace
}  // namespace narrow::runtime
