#include "runtime/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "artifact/artifact.h"
#include "ir/schema.h"
#include "onnx/import.h"
#include "passes/pass.h"
#include "runtime/executor.h"
#include "runtime/plan.h"
#include "runtime/reference/reference.h"

namespace narrow::runtime {

using ShapeMap = std::map<std::string, Shape>;

struct Session::State {
  ir::Graph graph;
  std::shared_ptr<ThreadPool> pool;
  SessionOptions options;
  PackCache packs;
  std::map<ShapeMap, std::shared_ptr<const Plan>> plans;
  std::shared_ptr<const Plan> last;  // of the last run
  Workspace workspace;
  std::vector<Tensor> inputs, outputs;  // of the run in progress, in the graph's order

  Result<std::shared_ptr<const Plan>> plan_for(const ShapeMap& shapes);
  /// Sets `inputs` and `last`.
  Status start(const TensorMap& given);
};

Result<std::shared_ptr<const Plan>> Session::State::plan_for(const ShapeMap& shapes) {
  const auto known = plans.find(shapes);
  if (known != plans.end()) return known->second;
  ir::Graph bound = graph.clone();
  NARROW_DO(ir::bind_shapes(bound, shapes));
  const passes::PassContext context{.evaluate = reference::evaluate};
  const auto list = options.observe_all ? passes::observable_passes() : passes::engine_passes();
  NARROW_DO(passes::run_passes(bound, list, context, options.disabled_passes));
  const PlanOptions plan_options{
      .isa = options.max_isa, .threads = pool->threads(), .reference_only = options.reference_only};
  NARROW_TRY(std::shared_ptr<const Plan> plan, make_plan(std::move(bound), plan_options, packs));
  plans.emplace(shapes, plan);
  return plan;
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(const ir::Graph& graph, std::shared_ptr<ThreadPool> pool,
                                const SessionOptions& options) {
  auto state = std::make_unique<State>();
  state->graph = graph.clone();
  state->pool = std::move(pool);
  state->options = options;
  return Session(std::move(state));
}

Result<Session> Session::open(const std::filesystem::path& path, std::shared_ptr<ThreadPool> pool,
                              const SessionOptions& options) {
  if (artifact::is_artifact(path)) {
    NARROW_TRY(artifact::Package package, artifact::read(path));
    return create(package.graph, std::move(pool), options);
  }
  NARROW_TRY(onnx::ImportedModel model, onnx::import_file(path));
  const passes::PassContext context{.evaluate = reference::evaluate};
  NARROW_DO(passes::run_passes(model.graph, passes::portable_passes(), context));
  return create(model.graph, std::move(pool), options);
}

const std::vector<ir::Value*>& Session::inputs() const { return state_->graph.inputs(); }
const std::vector<ir::GraphOutput>& Session::outputs() const { return state_->graph.outputs(); }
const ir::Graph& Session::graph() const { return state_->graph; }

namespace {

/// Pixels may come as bytes, indices as 32 bits: a cast that keeps the kind and loses nothing the model could
/// use.
bool castable(DType from, DType to) {
  if (from == to) return true;
  if (is_float(to)) return is_float(from) || is_integer(from) || from == DType::boolean;
  return is_integer(to) && (is_integer(from) || from == DType::boolean);
}

Error bad_input(const ir::Value& input, std::string expected, std::string got) {
  return {.code = Code::invalid_data,
          .subject = "input '" + input.name + "'",
          .expected = std::move(expected),
          .got = std::move(got),
          .hint = "`narrow inspect` shows the model's inputs"};
}

bool fits(const Shape& shape, const ir::TensorType& type) {
  if (!type.ranked) return true;
  if (shape.size() != type.dims.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i)
    if (type.dims[i].known() && type.dims[i].value != shape[i]) return false;
  return true;
}

/// The given tensors in the order of the graph's inputs, checked and cast.
Status collect_inputs(const ir::Graph& graph, const TensorMap& given, std::vector<Tensor>& tensors) {
  tensors.resize(graph.inputs().size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ir::Value* input = graph.inputs()[i];
    const auto it = given.find(input->name);
    if (it == given.end()) {
      std::vector<std::string> names;
      for (const auto& [name, tensor] : given) names.push_back(name);
      return bad_input(*input, "a tensor " + ir::to_string(input->type),
                       names.empty() ? "nothing" : fmt::format("only {}", fmt::join(names, ", ")));
    }
    const Tensor& tensor = it->second;
    if (!castable(tensor.dtype(), input->type.dtype))
      return bad_input(*input, to_string(input->type.dtype), to_string(tensor.dtype()));
    if (!fits(tensor.shape(), input->type))
      return bad_input(*input, ir::to_string(input->type), to_string(tensor.shape()));
    if (tensor.dtype() == input->type.dtype)
      tensors[i] = tensor;
    else
      tensors[i] = cast(tensor, input->type.dtype);
    if (is_narrow(input->type.dtype) && !same_values(tensors[i], tensor))
      return bad_input(*input, std::string("numbers that ") + to_string(input->type.dtype) + " holds", "others");
  }
  for (const auto& [name, tensor] : given) {
    const ir::Value* value = graph.find_value(name);
    if (value == nullptr || !value->is_graph_input())
      return Error{.code = Code::invalid_data,
                   .subject = "input '" + name + "'",
                   .expected = "a name of the model's inputs",
                   .got = "an unknown one",
                   .hint = "`narrow inspect` shows the model's inputs"};
  }
  return {};
}

/// A static type against a tensor's, without making a Shape of it.
bool has_type(const Tensor& tensor, const ir::TensorType& type) {
  return tensor.dtype() == type.dtype &&
         std::equal(tensor.shape().begin(), tensor.shape().end(), type.dims.begin(), type.dims.end(),
                    [](int64_t extent, const ir::Dim& dim) { return extent == dim.value; });
}

bool is_plan_for(const Plan& plan, const std::vector<Tensor>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!has_type(inputs[i], plan.graph.inputs()[i]->type)) return false;
  return true;
}

}  // namespace

Status Session::State::start(const TensorMap& given) {
  NARROW_DO(collect_inputs(graph, given, inputs));
  if (last && is_plan_for(*last, inputs)) return {};
  ShapeMap shapes;
  for (size_t i = 0; i < inputs.size(); ++i) shapes[graph.inputs()[i]->name] = inputs[i].shape();
  NARROW_TRY(last, plan_for(shapes));
  return {};
}

Result<TensorMap> Session::run(const TensorMap& inputs, Observer* observer) {
  NARROW_DO(state_->start(inputs));
  const std::vector<Tensor> tensors = std::exchange(state_->inputs, {});  // does not outlive the run
  return execute(*state_->last, tensors, state_->workspace, *state_->pool, observer);
}

Status Session::run_into(const TensorMap& inputs, TensorMap& outputs) {
  NARROW_DO(state_->start(inputs));
  const std::vector<ir::GraphOutput>& wanted = state_->last->graph.outputs();
  state_->outputs.resize(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto it = outputs.find(wanted[i].name);
    if (it == outputs.end() || !has_type(it->second, wanted[i].value->type))
      return Error{.code = Code::invalid_argument,
                   .subject = "output '" + wanted[i].name + "'",
                   .expected = "a tensor " + ir::to_string(wanted[i].value->type),
                   .got = it == outputs.end()
                              ? "none"
                              : to_string(it->second.dtype()) + to_string(it->second.shape())};
    state_->outputs[i] = it->second;
  }
  return execute_into(*state_->last, state_->inputs, state_->outputs, state_->workspace, *state_->pool);
}

Status Session::prepare(const ShapeMap& shapes) {
  NARROW_DO(state_->plan_for(shapes));
  return {};
}

Result<PlanInfo> Session::plan_info(const ShapeMap& shapes) {
  NARROW_TRY(const std::shared_ptr<const Plan> plan, state_->plan_for(shapes));
  return plan->info;
}

Result<const ir::Graph*> Session::engine_graph(const ShapeMap& shapes) {
  NARROW_TRY(const std::shared_ptr<const Plan> plan, state_->plan_for(shapes));
  return &plan->graph;
}

}  // namespace narrow::runtime
