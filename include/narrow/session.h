// A model ready to run.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "narrow/tensor.h"

NARROW_BEGIN_NAMESPACE

struct SessionOptions {
  int threads = 0;  // that compute one run, the calling one among them; 0: one per core of this process
};

/// An input or output of a model.
struct TensorInfo {
  std::string name;
  DType dtype = DType::undefined;
  bool ranked = true;  // false: the model does not even say how many dimensions; shape is empty
  Shape shape;         // -1: free, known once the model runs
};

/// Owns the model, its threads and the memory it computes in; shares nothing with other sessions. Every
/// function may be called from any thread at any time: runs of one session take turns, runs of several go
/// side by side. (Moving and destroying are for when no call is in progress.)
class NARROW_API Session {
 public:
  /// From a .narrow or .onnx file. Errors: not_found, io, invalid_model, unsupported (naming node and op),
  /// invalid_argument (options).
  static Result<Session> open(const std::filesystem::path& model, const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  /// In the order of the model. Empty once the session was moved from.
  std::span<const TensorInfo> inputs() const;
  std::span<const TensorInfo> outputs() const;

  /// Every output of the model for these inputs. The first run of new input shapes plans for them, which
  /// takes longer. An integer tensor may stand for a float one and one width for another: elements are
  /// converted. Errors: invalid_data (an input is missing, unknown, of another kind or shape), unsupported
  /// (no kernel for a node at these shapes), invalid_argument (the session was moved from).
  Result<Tensors> run(const Tensors& inputs);
  /// The same into the memory of `outputs`: tensors as run() returns them or views of the caller's memory, of
  /// the outputs' exact types and shapes. Outputs of the model that are not named in it are left out.
  /// Allocates nothing under the conditions in docs/library.md. Errors: those of run(); invalid_argument (a
  /// name that is no output, a tensor that does not fit or cannot be written). `outputs` is written only when
  /// all is well.
  Status run_into(const Tensors& inputs, Tensors& outputs);

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

NARROW_END_NAMESPACE
