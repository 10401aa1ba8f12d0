// A model ready to run: graph -> passes -> plan per input shape -> execution. Thread-safe only from the
// outside: one Session serves one caller at a time; many sessions share weights and live in one process.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "artifact/artifact.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/result.h"
#include "ir/graph.h"
#include "ir/interface.h"
#include "parallel/thread_pool.h"
#include "runtime/slices.h"
#include "runtime/tactics.h"
#include "tensor/tensor.h"

namespace narrow::runtime {

class TacticCache;

struct SessionOptions {
  Isa max_isa = usable_isa();
  /// Fusion off: every value of the portable graph is computed and can be observed (calibration).
  bool observe_all = false;
  /// Use the plain reference backend for every node (tests).
  bool reference_only = false;
  std::vector<std::string> disabled_passes;
  /// Of an artifact: used when they were timed on this machine. Null: the order of the kernels' tables.
  std::shared_ptr<const Tactics> tactics;
  /// How many images of a batch run at a time; cache_bytes 0: all of them. Beside 1 MB of L2 a slice may take
  /// twice that: what does not stay is read in order (resnet50 bf16, batch 32, 0.91 of the time on a Zen 5).
  SliceOptions slices = {.cache_bytes = cpu_features().l2_bytes,
                         .fits = cpu_features().l2_bytes < 2 << 20 ? 2.0 : 1.0};
};

/// A value in memory while a plan runs. Quantized and channels-last values show as they lie.
struct ValueView {
  const ir::Value* value;
  Shape shape;
  void* data;
  int64_t pitch = 0;  // elements from pixel to pixel where it is part of a wider value; 0: its own channels

  /// Of an FP32 value, in the order of `shape`: where they lie, or in `room` where pixels are apart.
  std::span<const float> floats(std::vector<float>& room) const;
  /// Calls f(first, count) for each run of elements of an FP32 value that lie together.
  template <class F>
  void for_each_run(F&& f) const {
    auto* at = static_cast<float*>(data);
    const int64_t all = elements_of(shape), run = pitch > 0 ? shape.back() : all;
    for (int64_t i = 0; i < all; i += run, at += pitch) f(at, run);
  }

  /// As FP32 in the axes of value->origin: dequantized, widened, permuted back.
  Tensor to_reference() const;
  /// Overwrites the memory from FP32 in the axes of value->origin: permuted, narrowed, quantized.
  void set_from_reference(const Tensor& reference) const;
};

/// Called around every step of a plan, on the calling thread.
class Observer {
 public:
  virtual ~Observer() = default;
  /// True: steps that run slice by slice (runtime/slices.h) are seen slice by slice. False: the batch runs
  /// whole.
  virtual bool takes_slices() const { return false; }
  /// May overwrite inputs (constants are not among them).
  virtual void before(const ir::Node& node, std::span<const ValueView> inputs) {
    (void)node;
    (void)inputs;
  }
  virtual void after(const ir::Node& node, std::span<const ValueView> outputs) {
    (void)node;
    (void)outputs;
  }
};

/// Which kernel a node got and why the ones before it in the table did not serve.
struct StepChoice {
  std::string node, op, kernel;
  std::vector<std::string> outputs;  // names of the values it makes
  std::vector<std::string> formats;  // of its outputs: "u8", "bf16"
  struct Rejected {
    std::string kernel, reason;
  };
  std::vector<Rejected> rejected;
  std::optional<double> timed_us;  // where it won against others by measurement
  bool emulated = false;           // the format is not native here
  int64_t slices = 1;              // of the batch, one after the other
  int64_t bands = 1;               // of each image's rows, likewise
  /// The layers that one convolution computes together (ir/merged.h), each with its share of the work.
  std::vector<std::pair<std::string, double>> merged = {};
};

struct PlanInfo {
  std::vector<StepChoice> steps;
  int64_t arena_bytes = 0;        // activations, planned statically
  int64_t arena_lower_bound = 0;  // most bytes alive at one step
  int64_t weight_bytes = 0;       // packed
  bool fetches_ahead = false;     // weights of a step while the one before it computes
  std::vector<Tactic> choices;    // made once for all steps, where they were timed
};

/// Memory that runs out is an error of whatever call needed it.
class Session {
 public:
  /// From a portable graph (standard ONNX, Q/DQ and casts honoured).
  static Result<Session> create(const ir::Graph& graph, std::shared_ptr<ThreadPool> pool,
                                const SessionOptions& options = {});
  /// From an .onnx or .narrow file; of that, plans for the shapes it was built for at once.
  static Result<Session> open(const std::filesystem::path& path, std::shared_ptr<ThreadPool> pool,
                              const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  const ir::Interface& interface() const;  // of the portable graph: symbolic dims
  /// The portable graph, which an artifact keeps as text until somebody asks: for this, or for shapes it was
  /// not built for. Errors: invalid_model.
  Result<const ir::Graph*> graph();

  /// Missing, unknown, mistyped or misshapen inputs are errors invalid_data. Integer and float element types
  /// are cast to the input's type when that loses nothing of the kind (u8 pixels into f32).
  Result<TensorMap> run(const TensorMap& inputs, Observer* observer = nullptr);
  /// run() into the tensors an earlier run() with inputs of these shapes returned (nobody else's storage: it
  /// is written). When the shapes are those of the run before and the inputs have the model's types, nothing
  /// is allocated but what kernels allocate. Errors: those of run(); invalid_argument, outputs do not fit.
  Status run_into(const TensorMap& inputs, TensorMap& outputs);
  /// Chooses kernels for these shapes by measurement (runtime/tune.h), or as the cache remembers; plans made
  /// so far are dropped. Nothing happens where shapes depend on data. Errors: those of prepare().
  Status tune(const std::map<std::string, Shape>& shapes, TacticCache& cache);
  /// In use; null when there are none.
  const Tactics* tactics() const;
  /// The graph the engine runs for these shapes, for an artifact; none where shapes depend on data. Errors:
  /// those of prepare().
  Result<std::optional<artifact::EngineGraph>> engine_image(const std::map<std::string, Shape>& shapes);
  /// What an artifact may keep of the weights packed so far (by prepare() or run()).
  std::vector<artifact::PackedConstant> packed_constants() const;
  /// Plans for these shapes ahead of the first run (part of load time).
  Status prepare(const std::map<std::string, Shape>& shapes);
  /// The plan for these input shapes (prepared when needed), for explain and inspect.
  Result<PlanInfo> plan_info(const std::map<std::string, Shape>& shapes);
  /// The graph the engine runs for these shapes.
  Result<const ir::Graph*> engine_graph(const std::map<std::string, Shape>& shapes);

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace narrow::runtime
