#include "quant/gradient/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "ir/schema.h"
#include "passes/pass.h"
#include "quant/gradient/prepare.h"
#include "quant/gradient/rule.h"
#include "quant/regions.h"
#include "runtime/kernel.h"
#include "runtime/reference/reference.h"

namespace narrow::quant::gradient {
namespace {

using ir::Node;
using ir::Op;
using ir::Value;

/// A value and its gradient.
struct Slot {
  const Value* value;
  Tensor data;
  Tensor gradient;      // f32; undefined where none is wanted
  bool wanted = false;  // something a gradient is wanted of leads here
  bool filled = false;  // the way back under way has been here
};

struct Step {
  const Node* node;
  std::unique_ptr<runtime::Kernel> kernel;  // null: fresh, or an alias
  Forward fresh;                            // the weights change
  Backward backward;                        // empty: no gradient passes
  bool shares_gradient = false;             // input 0's gradient is the output's memory
  std::vector<size_t> inputs, outputs;      // slots; kNone: absent
};

constexpr size_t kNone = static_cast<size_t>(-1);

/// The output is the input's elements in the same order.
bool keeps_elements(const Node& node) {
  switch (node.op()) {
    case Op::Reshape:
    case Op::Flatten:
    case Op::Squeeze:
    case Op::Unsqueeze:
    case Op::Identity:
      return true;
    case Op::Dropout:
      return node.outputs().size() == 1;
    default:
      return false;
  }
}

Result<std::unique_ptr<runtime::Kernel>> make_kernel(const Node& node, Isa isa, int threads,
                                                     runtime::PackCache& packs) {
  const runtime::NodeCase c{.node = node, .isa = isa, .threads = threads, .packs = &packs};
  for (const runtime::Implementation& candidate : runtime::implementations(node.op()))
    if (includes(isa, candidate.isa) && candidate.unsupported(c).empty()) return candidate.create(c);
  return no_rule(node, "an op some kernel runs", ir::to_string(node.op()));
}

/// The wanted nodes' weights become constants of their own.
Status own_weights(ir::Graph& graph, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    const Value* value = graph.find_value(key);
    Node* node = value != nullptr ? value->producer() : nullptr;
    if (node == nullptr || !is_heavy(*node) || !node->input(1)->is_constant() ||
        node->input(1)->type.dtype != DType::f32)
      return Error{.code = Code::unsupported,
                   .subject = "'" + key + "'",
                   .expected = "a convolution or product with constant FP32 weights",
                   .got = node == nullptr ? "no such node" : node->location()};
    graph.set_input(node, 1, graph.add_constant(key + "_weights", node->input(1)->constant()));
  }
  return {};
}

}  // namespace

struct Network::State {
  ir::Graph graph;
  std::shared_ptr<ThreadPool> pool;
  Isa isa = Isa::plain;
  runtime::PackCache packs;
  std::vector<Slot> slots;
  std::vector<Step> steps;
  std::unordered_map<const Value*, size_t> slot_of;
  std::map<std::string, size_t> weights, inputs, outputs;  // by node, input and output name
  std::map<std::string, Shape> output_shapes;
  LyingBorders borders;
  AlignedBuffer scratch;
  std::vector<Tensor> second;  // where gradients go that are added to others
  std::vector<const void*> sources, results;
  std::vector<void*> targets;
  std::vector<const float*> seeds;
  std::vector<float*> gradients;

  size_t slot(const Value* value);
  Status find_weights(const ir::Graph& original, const Wanted& wanted);
  Status make_steps();
  Status make_step(const Node& node);
  bool allocate_results(Step& step, bool reached);
  bool can_share_gradient(const Step& step) const;
  Status run(Step& step);
  void run_back(Step& step);
  float* target_of(size_t index, size_t input, std::vector<std::pair<size_t, size_t>>& later);
  void add(size_t index, const float* more);
};

size_t Network::State::slot(const Value* value) {
  if (value == nullptr) return kNone;
  const auto [it, fresh] = slot_of.try_emplace(value, slots.size());
  if (fresh)
    slots.push_back(
        {.value = value, .data = value->is_constant() ? value->constant() : Tensor(), .gradient = {}});
  return it->second;
}

/// Marks what gradients are wanted of. The weights must have come through the passes as they were.
Status Network::State::find_weights(const ir::Graph& original, const Wanted& wanted) {
  for (const std::string& key : wanted.weights) {
    const Tensor& before = original.find_value(key)->producer()->input(1)->constant();
    const Value* value = graph.find_value(key);
    const Node* node = value != nullptr ? value->producer() : nullptr;
    const bool product = node != nullptr && (node->op() == Op::FusedConv || node->op() == Op::FusedMatMul);
    if (!product || !node->input(1)->is_constant() || !node->input(1)->constant().same_bits(before))
      return no_rule(*original.find_value(key)->producer(),
                     "a product the engine runs with the weights as they are",
                     product ? "other weights" : "another operator");
    const size_t at = slot(node->input(1));
    slots[at].data = before.clone();
    slots[at].gradient = Tensor::allocate(DType::f32, before.shape());
    slots[at].wanted = true;
    weights[key] = at;
  }
  for (const Value* input : graph.inputs()) {
    const size_t at = slot(input);
    inputs[input->name] = at;
    if (std::find(wanted.inputs.begin(), wanted.inputs.end(), input->name) == wanted.inputs.end()) continue;
    slots[at].wanted = true;
    slots[at].gradient = Tensor::allocate(DType::f32, input->type.shape());
  }
  return {};
}

/// dx = dy, and nothing else adds to dx.
bool Network::State::can_share_gradient(const Step& step) const {
  if (!keeps_elements(*step.node) && step.node->op() != Op::DequantizeLinear) return false;
  const Slot& x = slots[step.inputs[0]];
  return x.wanted && graph.readers(x.value) == 1 && !graph.is_graph_output(x.value);
}

/// A value's memory, and its gradient's where one passes.
bool Network::State::allocate_results(Step& step, bool reached) {
  bool passes = false;
  for (const Value* output : step.node->outputs()) {
    const size_t at = slot(output);
    step.outputs.push_back(at);
    const Shape shape = output->type.shape();
    if (!keeps_elements(*step.node)) slots[at].data = Tensor::allocate(output->type.dtype, shape);
    // Codes carry the gradient of the number they stand for.
    if (!reached || (output->type.dtype != DType::f32 && step.node->op() != Op::QuantizeLinear)) continue;
    slots[at].wanted = passes = true;
    step.shares_gradient = can_share_gradient(step);
    slots[at].gradient = step.shares_gradient ? slots[step.inputs[0]].gradient.reshaped(shape)
                                              : Tensor::allocate(DType::f32, shape);
  }
  return passes;
}

Status Network::State::make_step(const Node& node) {
  Step step{.node = &node, .kernel = nullptr, .fresh = {}, .backward = {}, .inputs = {}, .outputs = {}};
  bool reached = false;
  for (const Value* input : node.inputs()) {
    step.inputs.push_back(slot(input));
    reached = reached || (input != nullptr && slots[step.inputs.back()].wanted);
  }
  const RuleCase c{node, isa, pool->threads()};
  const bool own = step.inputs.size() > 1 && step.inputs[1] != kNone && slots[step.inputs[1]].wanted &&
                   slots[step.inputs[1]].value->is_constant();
  if (own) {
    NARROW_TRY(step.fresh, fresh_product(c));
  } else if (!keeps_elements(node)) {
    NARROW_TRY(step.kernel, make_kernel(node, isa, pool->threads(), packs));
    if (scratch.bytes() < step.kernel->scratch_bytes()) scratch = AlignedBuffer(step.kernel->scratch_bytes());
  }
  if (allocate_results(step, reached)) {
    const MakeRule rule = find_rule(node.op());
    if (rule == nullptr)
      return no_rule(node, "an operator whose gradient is known", ir::to_string(node.op()));
    NARROW_TRY(step.backward, rule(c));
  }
  steps.push_back(std::move(step));
  return {};
}

Status Network::State::make_steps() {
  for (const Node* node : graph.nodes()) NARROW_DO(make_step(*node));
  for (const ir::GraphOutput& output : graph.outputs()) {
    outputs[output.name] = slot(output.value);
    output_shapes[output.name] = output.value->type.shape();
    if (output.value->type.dtype != DType::f32)
      return Error{.code = Code::unsupported,
                   .subject = "output '" + output.name + "'",
                   .expected = "f32",
                   .got = ir::to_string(output.value->type)};
  }
  return {};
}

namespace {

/// Static types everywhere: what the kernels want.
Status check_static(const ir::Graph& graph) {
  for (const Node* node : graph.nodes())
    for (const Value* output : node->outputs())
      if (!output->type.is_static())
        return no_rule(*node, "shapes that follow from the inputs' shapes", ir::to_string(output->type));
  return {};
}

}  // namespace

Result<Network> Network::create(const ir::Graph& graph, const std::map<std::string, Shape>& shapes,
                                const Wanted& wanted, std::shared_ptr<ThreadPool> pool, Isa isa,
                                const NetworkOptions& options) {
  auto state = std::make_unique<State>();
  state->graph = graph.clone();
  state->pool = std::move(pool);
  state->isa = isa;
  NARROW_DO(own_weights(state->graph, wanted.weights));
  NARROW_DO(ir::bind_shapes(state->graph, shapes));
  const passes::PassContext context{.evaluate = runtime::reference::evaluate};
  NARROW_DO(passes::run_passes(state->graph, passes::observable_passes(), context));
  NARROW_DO(check_static(state->graph));
  fuse_bounds(state->graph);
  if (options.lying_borders) state->borders = open_borders(state->graph);
  NARROW_DO(state->find_weights(graph, wanted));
  NARROW_DO(state->make_steps());
  return Network(std::move(state));
}

Network::Network(std::unique_ptr<State> state) : state_(std::move(state)) {}
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;
Network::~Network() = default;

bool Network::input_lies_last(const std::string& name) const { return state_->borders.inputs.contains(name); }
bool Network::output_lies_last(const std::string& name) const {
  return state_->borders.outputs.contains(name);
}

std::span<float> Network::weights(const std::string& node) {
  return state_->slots[state_->weights.at(node)].data.mutable_data<float>();
}

std::span<const float> Network::weight_gradient(const std::string& node) const {
  return state_->slots[state_->weights.at(node)].gradient.data<float>();
}

const Tensor& Network::input_gradient(const std::string& input) const {
  return state_->slots[state_->inputs.at(input)].gradient;
}

const Shape& Network::output_shape(const std::string& name) const { return state_->output_shapes.at(name); }

const Tensor& Network::output(const std::string& name) const {
  return state_->slots[state_->outputs.at(name)].data;
}

// ---------------------------------------------------------------- forward

Status Network::State::run(Step& step) {
  if (!step.kernel && !step.fresh) {
    const Tensor& from = slots[step.inputs[0]].data;
    slots[step.outputs[0]].data = from.reshaped(step.node->output()->type.shape());
    return {};
  }
  sources.clear(), targets.clear();
  for (const size_t at : step.inputs) sources.push_back(at == kNone ? nullptr : slots[at].data.raw());
  for (const size_t at : step.outputs) targets.push_back(slots[at].data.mutable_raw());
  if (step.kernel)
    return step.kernel->run({.inputs = sources, .outputs = targets, .scratch = scratch.data()}, *pool);
  step.fresh(sources, targets[0], *pool);
  return {};
}

Status Network::forward(const TensorMap& inputs) {
  State& s = *state_;
  for (const auto& [name, at] : s.inputs) {
    const auto given = inputs.find(name);
    const ir::TensorType& type = s.slots[at].value->type;
    if (given == inputs.end() || given->second.dtype() != type.dtype || given->second.shape() != type.shape())
      return Error{.code = Code::invalid_data,
                   .subject = "input '" + name + "'",
                   .expected = ir::to_string(type),
                   .got = given == inputs.end() ? "nothing"
                                                : fmt::format("{}{}", to_string(given->second.dtype()),
                                                              to_string(given->second.shape()))};
    s.slots[at].data = given->second;
  }
  for (Step& step : s.steps) NARROW_DO(s.run(step));
  return {};
}

// ---------------------------------------------------------------- backward

void Network::State::add(size_t index, const float* more) {
  float* sum = slots[index].gradient.mutable_data<float>().data();
  parallel_for(*pool, slots[index].gradient.elements(), 16 << 10, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum[i] += more[i];
  });
}

/// Where the gradient of an input goes: into its place when it is the first, else beside it, to be added
/// later.
float* Network::State::target_of(size_t index, size_t input, std::vector<std::pair<size_t, size_t>>& later) {
  if (index == kNone || !slots[index].wanted) return nullptr;
  if (!slots[index].filled) {
    slots[index].filled = true;
    return slots[index].gradient.mutable_data<float>().data();
  }
  if (second.size() <= input) second.resize(input + 1);
  if (!second[input].defined() || second[input].elements() < slots[index].gradient.elements())
    second[input] = Tensor::allocate(DType::f32, slots[index].gradient.shape());
  later.emplace_back(index, input);
  return second[input].mutable_data<float>().data();
}

void Network::State::run_back(Step& step) {
  const bool reached =
      std::any_of(step.outputs.begin(), step.outputs.end(), [&](size_t at) { return slots[at].filled; });
  if (!step.backward || !reached) return;
  if (step.shares_gradient) {
    slots[step.inputs[0]].filled = true;
    return;
  }
  sources.clear(), results.clear(), seeds.clear(), gradients.clear();
  for (const size_t at : step.inputs) sources.push_back(at == kNone ? nullptr : slots[at].data.raw());
  for (const size_t at : step.outputs) {
    Slot& out = slots[at];
    results.push_back(out.data.raw());
    if (out.wanted && !out.filled)
      std::memset(out.gradient.mutable_raw(), 0, static_cast<size_t>(out.gradient.bytes()));
    seeds.push_back(out.wanted ? out.gradient.data<float>().data() : nullptr);
  }
  std::vector<std::pair<size_t, size_t>> later;
  for (size_t i = 0; i < step.inputs.size(); ++i) gradients.push_back(target_of(step.inputs[i], i, later));
  step.backward({.x = sources, .y = results, .dy = seeds, .dx = gradients}, *pool);
  for (const auto& [index, input] : later) add(index, second[input].data<float>().data());
}

Status Network::backward(const TensorMap& seeds) {
  State& s = *state_;
  for (Slot& slot : s.slots) slot.filled = false;
  for (const auto& [name, seed] : seeds) {
    const auto found = s.outputs.find(name);
    if (found == s.outputs.end() || seed.dtype() != DType::f32 ||
        seed.shape() != s.slots[found->second].data.shape())
      return Error{.code = Code::invalid_argument,
                   .subject = "gradient of output '" + name + "'",
                   .expected = "an output, and its shape in f32",
                   .got = to_string(seed.shape())};
    Slot& slot = s.slots[found->second];
    if (!slot.wanted) continue;
    if (slot.filled)
      s.add(found->second, seed.data<float>().data());
    else
      std::memcpy(slot.gradient.mutable_raw(), seed.raw(), static_cast<size_t>(seed.bytes()));
    slot.filled = true;
  }
  for (auto step = s.steps.rbegin(); step != s.steps.rend(); ++step) s.run_back(*step);
  for (Slot& slot : s.slots)
    if (slot.wanted && !slot.filled)
      std::memset(slot.gradient.mutable_raw(), 0, static_cast<size_t>(slot.gradient.bytes()));
  return {};
}

}  // namespace narrow::quant::gradient
