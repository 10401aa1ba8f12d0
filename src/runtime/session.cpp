#include "runtime/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "artifact/artifact.h"
#include "base/memory.h"
#include "ir/schema.h"
#include "onnx/import.h"
#include "passes/pass.h"
#include "runtime/executor.h"
#include "runtime/interpreter.h"
#include "runtime/merging.h"
#include "runtime/plan.h"
#include "runtime/reference/reference.h"
#include "runtime/split.h"
#include "runtime/tune.h"

namespace narrow::runtime {

using ShapeMap = std::map<std::string, Shape>;

namespace {

/// What an engine is made for.
struct EngineKey {
  ShapeMap shapes;
  bool whole = false;                                  // nothing is sliced, for an observer's sake
  auto operator<=>(const EngineKey&) const = default;  // NOLINT(modernize-use-nullptr): the 0 of its own code
};

/// What runs for some input shapes: a plan, or the interpreter, or the one and then the other where shapes
/// begin to depend on data.
struct Engine {
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<Interpreter> interpreter;

  const ir::Graph& graph() const { return plan ? plan->graph : interpreter->graph(); }
  bool is_sliced() const {
    return plan && std::any_of(plan->sections.begin(), plan->sections.end(),
                               [](const Section& section) { return section.is_sliced(); });
  }
  PlanInfo info() const {
    if (!plan) return interpreter->info();
    PlanInfo info = plan->info;
    if (interpreter)
      info.steps.insert(info.steps.end(), interpreter->info().steps.begin(), interpreter->info().steps.end());
    return info;
  }
};

/// Groups and a shuffle behind them against one dense product: on AMX the product costs no more; on vectors
/// it costs as many times as much as there are groups, but bytes are put in order quickly by AVX-512 VBMI
/// only (shufflenet int8 as AVX-VNNI runs it, one thread, 4.0 ms dense, 4.4 in groups).
int64_t dense_group_bytes(Isa isa) { return isa >= Isa::amx ? 2 : isa >= Isa::avx512_vnni ? 0 : 1; }

passes::PassContext engine_context(const SessionOptions& options) {
  return {.evaluate = reference::evaluate, .dense_group_bytes = dense_group_bytes(options.max_isa)};
}

}  // namespace

struct Session::State {
  ir::Interface interface;
  std::optional<ir::Graph> portable;
  std::function<Result<ir::Graph>()> read_portable;  // of an artifact, once
  std::shared_ptr<ThreadPool> pool;
  SessionOptions options;
  PackCache packs;
  std::optional<artifact::EngineGraph> image;  // of an artifact
  std::map<EngineKey, Engine> engines;
  std::optional<Engine> last;  // of the last run
  bool last_whole = false;
  Workspace workspace;
  std::vector<Tensor> inputs, outputs;  // of the run in progress, in the graph's order

  Result<const ir::Graph*> graph();
  Result<Engine> engine_for(const EngineKey& key);
  Result<bool> is_open(const ir::Graph& bound) const;
  Result<Engine> make_engine(const ShapeMap& shapes, const PlanOptions& how);
  Result<std::shared_ptr<const Plan>> plan_of(ir::Graph bound, const PlanOptions& how);
  PlanOptions plan_options() const;
  bool has_image_for(const ShapeMap& shapes) const;
  Status get_ready();
  Result<Engine> make_split_engine(ir::Graph bound, const PlanOptions& how);
  Result<TensorMap> run_interpreted(const std::vector<Tensor>& given, Observer* observer);
  /// Sets `inputs` and `last`.
  Status start(const TensorMap& given, bool whole);
  Result<TensorMap> run(const TensorMap& given, Observer* observer);
  Status run_into(const TensorMap& given, TensorMap& results);
};

namespace {
constexpr const char* kSubject = "model";  // of errors when memory runs out

/// An artifact's two graphs are to be of one model.
Status check_image(const ir::Interface& image, const ir::Interface& model) {
  const auto alike = [](const ir::Port& a, const ir::Port& b) {
    return a.name == b.name && a.type.dtype == b.type.dtype;
  };
  const auto all = [&](const std::vector<ir::Port>& a, const std::vector<ir::Port>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), alike);
  };
  if (all(image.inputs, model.inputs) && all(image.outputs, model.outputs)) return {};
  return Error{.code = Code::invalid_model,
               .subject = "the engine's graph",
               .expected = "the model's inputs and outputs",
               .got = "others",
               .hint = "the file is damaged; build it again"};
}

bool has_static_inputs(const ir::Graph& graph) {
  return std::all_of(graph.inputs().begin(), graph.inputs().end(),
                     [](const ir::Value* input) { return input->type.is_static(); });
}
}  // namespace

Result<const ir::Graph*> Session::State::graph() {
  if (!portable) {
    NARROW_TRY(portable, within_memory(kSubject, read_portable));
  }
  return &*portable;
}

Result<Engine> Session::State::engine_for(const EngineKey& key) {
  return within_memory(kSubject, [&]() -> Result<Engine> {
    const auto known = engines.find(key);
    if (known != engines.end()) return known->second;
    PlanOptions how = plan_options();
    if (key.whole) {
      const auto usual = engines.find({key.shapes});
      if (usual != engines.end() && !usual->second.is_sliced()) return usual->second;
      how.slices = {};
    }
    NARROW_TRY(Engine engine, make_engine(key.shapes, how));
    engines.emplace(key, engine);
    return engine;
  });
}

/// Whether shapes depend on data where all that follows from the inputs' shapes is folded.
Result<bool> Session::State::is_open(const ir::Graph& bound) const {
  if (!has_static_inputs(bound) || !depends_on_data(bound)) return false;
  ir::Graph folded = bound.clone();
  const passes::PassContext context{.evaluate = reference::evaluate};
  NARROW_DO(passes::run_passes(folded, passes::observable_passes(), context, options.disabled_passes));
  return depends_on_data(folded);
}

Result<Engine> Session::State::make_engine(const ShapeMap& shapes, const PlanOptions& how) {
  if (has_image_for(shapes)) {
    NARROW_TRY(ir::Graph ready, image->load());
    NARROW_DO(check_image(ir::interface_of(ready), interface));
    NARROW_TRY(std::shared_ptr<const Plan> plan, make_plan(std::move(ready), how, packs, *pool));
    return Engine{.plan = std::move(plan), .interpreter = nullptr};
  }
  NARROW_TRY(const ir::Graph* model, graph());
  ir::Graph bound = model->clone();
  NARROW_DO(ir::bind_shapes(bound, shapes));
  NARROW_TRY(const bool open, is_open(bound));
  if (open && options.observe_all) {
    const passes::PassContext context{.evaluate = reference::evaluate};
    NARROW_DO(passes::run_passes(bound, passes::observable_passes(), context, options.disabled_passes));
    return Engine{.plan = nullptr,
                  .interpreter = std::make_shared<Interpreter>(std::move(bound), pool, options)};
  }
  if (open) return make_split_engine(std::move(bound), how);
  NARROW_TRY(std::shared_ptr<const Plan> plan, plan_of(std::move(bound), how));
  return Engine{.plan = std::move(plan), .interpreter = nullptr};
}

Result<std::shared_ptr<const Plan>> Session::State::plan_of(ir::Graph bound, const PlanOptions& how) {
  const passes::PassContext context = engine_context(options);
  const auto list = options.observe_all ? passes::observable_passes() : passes::engine_passes();
  NARROW_DO(passes::run_passes(bound, list, context, options.disabled_passes));
  merge_where_faster(bound, how);
  return make_plan(std::move(bound), how, packs, *pool);
}

PlanOptions Session::State::plan_options() const {
  const bool here = options.tactics != nullptr && options.tactics->machine == machine_key(options.max_isa);
  return {.isa = options.max_isa,
          .threads = pool->threads(),
          .reference_only = options.reference_only,
          .tactics = here ? options.tactics.get() : nullptr,
          .slices = options.observe_all ? SliceOptions{} : options.slices};
}

/// Up to where shapes depend on data there is a plan; the rest is interpreted.
Result<Engine> Session::State::make_split_engine(ir::Graph bound, const PlanOptions& how) {
  const passes::PassContext context{.evaluate = reference::evaluate};
  const std::array fold = {*passes::find_pass("fold_constants")};
  NARROW_DO(passes::run_passes(bound, fold, context, options.disabled_passes));
  NARROW_TRY(Split split, split_static(bound));
  Engine engine{.plan = nullptr, .interpreter = nullptr};
  if (split.head.nodes().empty()) {
    engine.interpreter = std::make_shared<Interpreter>(std::move(bound), pool, options);
    return engine;
  }
  NARROW_TRY(engine.plan, plan_of(std::move(split.head), how));
  engine.interpreter = std::make_shared<Interpreter>(std::move(split.tail), pool, options);
  return engine;
}

/// The interpreter alone, or behind the plan whose outputs, beside the graph's inputs, it reads.
Result<TensorMap> Session::State::run_interpreted(const std::vector<Tensor>& given, Observer* observer) {
  const Engine& engine = *last;
  if (!engine.plan) return engine.interpreter->run(given, observer);
  NARROW_TRY(TensorMap known, execute(*engine.plan, given, workspace, *pool, observer));
  for (size_t i = 0; i < given.size(); ++i) known.emplace(interface.inputs[i].name, given[i]);
  std::vector<Tensor> rest;
  for (const ir::Value* input : engine.interpreter->graph().inputs()) rest.push_back(known.at(input->name));
  return engine.interpreter->run(rest, observer);
}

/// The graph an artifact keeps is what the passes make of the portable one.
bool Session::State::has_image_for(const ShapeMap& shapes) const {
  return image && image->shapes == shapes && !options.observe_all && options.disabled_passes.empty();
}

/// Of an artifact that was just opened: a plan for the shapes it was built for, without the portable graph;
/// where it has none such, every plan starts from that graph. Why there is no plan for those shapes, a run of
/// them says.
Status Session::State::get_ready() {
  if (!image || !has_image_for(image->shapes)) {
    NARROW_DO(graph());
    return {};
  }
  (void)engine_for({image->shapes});
  return {};
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::create(const ir::Graph& graph, std::shared_ptr<ThreadPool> pool,
                                const SessionOptions& options) {
  auto state = std::make_unique<State>();
  state->interface = ir::interface_of(graph);
  state->portable = graph.clone();
  state->pool = std::move(pool);
  state->options = options;
  return Session(std::move(state));
}

Result<Session> Session::open(const std::filesystem::path& path, std::shared_ptr<ThreadPool> pool,
                              const SessionOptions& options) {
  return within_memory(path.string(), [&]() -> Result<Session> {
    if (artifact::is_artifact(path)) {
      NARROW_TRY(artifact::Opening opening, artifact::start_reading(path));
      artifact::Opened& file = opening.file;
      auto state = std::make_unique<State>();
      state->interface = std::move(file.interface);
      state->read_portable = std::move(file.portable);
      state->pool = std::move(pool);
      state->options = options;
      state->image = std::move(file.engine);
      if (options.tactics == nullptr && file.about.contains("tactics"))
        state->options.tactics = std::make_shared<Tactics>(tactics_from_json(file.about["tactics"]));
      for (artifact::PackedConstant& packed : file.packed) state->packs.add(std::move(packed));
      Status ready = state->get_ready();
      NARROW_DO(opening.intact.get());
      NARROW_DO(ready);
      return Session(std::move(state));
    }
    NARROW_TRY(onnx::ImportedModel model, onnx::import_file(path));
    const passes::PassContext context{.evaluate = reference::evaluate};
    NARROW_DO(passes::run_passes(model.graph, passes::portable_passes(), context));
    return create(model.graph, std::move(pool), options);
  });
}

Status Session::tune(const std::map<std::string, Shape>& shapes, TacticCache& cache) {
  State& state = *state_;
  NARROW_TRY(const ir::Graph* model, state.graph());
  ir::Graph bound = model->clone();
  NARROW_DO(ir::bind_shapes(bound, shapes));
  NARROW_TRY(const bool open, state.is_open(bound));
  if (open || !has_static_inputs(bound)) return {};
  const passes::PassContext context = engine_context(state.options);
  NARROW_DO(passes::run_passes(bound, passes::engine_passes(), context, state.options.disabled_passes));
  state.options.tactics =
      std::make_shared<Tactics>(runtime::tune(bound, state.plan_options(), *state.pool, cache));
  state.engines.clear();
  state.last.reset();
  state.packs.clear();
  return {};
}

Result<std::optional<artifact::EngineGraph>> Session::engine_image(
    const std::map<std::string, Shape>& shapes) {
  NARROW_TRY(const Engine engine, state_->engine_for({shapes}));
  if (!engine.plan || engine.interpreter) return std::optional<artifact::EngineGraph>();
  return std::optional(artifact::EngineGraph{
      shapes, [plan = engine.plan]() -> Result<ir::Graph> { return plan->graph.clone(); }});
}

const Tactics* Session::tactics() const { return state_->options.tactics.get(); }

std::vector<artifact::PackedConstant> Session::packed_constants() const { return state_->packs.storable(); }

const ir::Interface& Session::interface() const { return state_->interface; }
Result<const ir::Graph*> Session::graph() { return state_->graph(); }

namespace {

/// Pixels may come as bytes, indices as 32 bits: a cast that keeps the kind and loses nothing the model could
/// use.
bool castable(DType from, DType to) {
  if (from == to) return true;
  if (is_float(to)) return is_float(from) || is_integer(from) || from == DType::boolean;
  return is_integer(to) && (is_integer(from) || from == DType::boolean);
}

Error bad_input(const ir::Port& input, std::string expected, std::string got) {
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

/// The given tensors in the order of the model's inputs, checked and cast.
Status collect_inputs(const std::vector<ir::Port>& inputs, const TensorMap& given,
                      std::vector<Tensor>& tensors) {
  tensors.resize(inputs.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const ir::Port& input = inputs[i];
    const auto it = given.find(input.name);
    if (it == given.end()) {
      std::vector<std::string> names;
      for (const auto& [name, tensor] : given) names.push_back(name);
      return bad_input(input, "a tensor " + ir::to_string(input.type),
                       names.empty() ? "nothing" : fmt::format("only {}", fmt::join(names, ", ")));
    }
    const Tensor& tensor = it->second;
    if (!castable(tensor.dtype(), input.type.dtype))
      return bad_input(input, to_string(input.type.dtype), to_string(tensor.dtype()));
    if (!fits(tensor.shape(), input.type))
      return bad_input(input, ir::to_string(input.type), to_string(tensor.shape()));
    if (tensor.dtype() == input.type.dtype)
      tensors[i] = tensor;
    else
      tensors[i] = cast(tensor, input.type.dtype);
    if (is_narrow(input.type.dtype) && !same_values(tensors[i], tensor))
      return bad_input(input, std::string("numbers that ") + to_string(input.type.dtype) + " holds",
                       "others");
  }
  for (const auto& pair : given) {
    const std::string& name = pair.first;
    if (std::none_of(inputs.begin(), inputs.end(), [&](const ir::Port& input) { return input.name == name; }))
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

bool is_engine_for(const Engine& engine, const std::vector<Tensor>& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!has_type(inputs[i], engine.graph().inputs()[i]->type)) return false;
  return true;
}

Error misfit(const std::string& name, std::string expected, const Tensor* got) {
  return {.code = Code::invalid_argument,
          .subject = "output '" + name + "'",
          .expected = "a tensor " + std::move(expected),
          .got = got == nullptr ? "none" : to_string(got->dtype()) + to_string(got->shape())};
}

/// Copies what an interpreted run returned.
Status copy_into(const TensorMap& results, TensorMap& outputs) {
  for (const auto& [name, result] : results) {
    const auto it = outputs.find(name);
    if (it == outputs.end() || it->second.dtype() != result.dtype() || it->second.shape() != result.shape())
      return misfit(name, to_string(result.dtype()) + to_string(result.shape()),
                    it == outputs.end() ? nullptr : &it->second);
    if (result.bytes() > 0)
      std::memcpy(it->second.mutable_raw(), result.raw(), static_cast<size_t>(result.bytes()));
  }
  return {};
}

}  // namespace

Status Session::State::start(const TensorMap& given, bool whole) {
  NARROW_DO(collect_inputs(interface.inputs, given, inputs));
  if (last && last_whole == whole && is_engine_for(*last, inputs)) return {};
  EngineKey key{.shapes = {}, .whole = whole};
  for (size_t i = 0; i < inputs.size(); ++i) key.shapes[interface.inputs[i].name] = inputs[i].shape();
  NARROW_TRY(last, engine_for(key));
  last_whole = whole;
  return {};
}

Result<TensorMap> Session::State::run(const TensorMap& given, Observer* observer) {
  NARROW_DO(start(given, observer != nullptr && !observer->takes_slices()));
  const std::vector<Tensor> tensors = std::exchange(inputs, {});  // does not outlive the run
  if (last->interpreter) return run_interpreted(tensors, observer);
  return execute(*last->plan, tensors, workspace, *pool, observer);
}

Status Session::State::run_into(const TensorMap& given, TensorMap& results) {
  NARROW_DO(start(given, false));
  const Engine& engine = *last;
  if (engine.interpreter) {
    NARROW_TRY(const TensorMap made, run_interpreted(inputs, nullptr));
    return copy_into(made, results);
  }
  const std::vector<ir::GraphOutput>& wanted = engine.plan->graph.outputs();
  outputs.resize(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto it = results.find(wanted[i].name);
    if (it == results.end() || !has_type(it->second, wanted[i].value->type))
      return misfit(wanted[i].name, ir::to_string(wanted[i].value->type),
                    it == results.end() ? nullptr : &it->second);
    outputs[i] = it->second;
  }
  return execute_into(*engine.plan, inputs, outputs, workspace, *pool);
}

Result<TensorMap> Session::run(const TensorMap& inputs, Observer* observer) {
  return within_memory(kSubject, [&] { return state_->run(inputs, observer); });
}

Status Session::run_into(const TensorMap& inputs, TensorMap& outputs) {
  return within_memory(kSubject, [&] { return state_->run_into(inputs, outputs); });
}

Status Session::prepare(const ShapeMap& shapes) {
  NARROW_DO(state_->engine_for({shapes}));
  return {};
}

Result<PlanInfo> Session::plan_info(const ShapeMap& shapes) {
  NARROW_TRY(const Engine engine, state_->engine_for({shapes}));
  return engine.info();
}

Result<const ir::Graph*> Session::engine_graph(const ShapeMap& shapes) {
  NARROW_TRY(const Engine engine, state_->engine_for({shapes}));
  return &engine.graph();  // the session keeps the engine
}

}  // namespace narrow::runtime
