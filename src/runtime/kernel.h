// What a plan's step runs, and the table it is chosen from.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cpu.h"
#include "base/result.h"
#include "ir/graph.h"
#include "kernels/weight_stream.h"
#include "parallel/thread_pool.h"
#include "runtime/pack_cache.h"

namespace narrow::runtime {

struct StepBuffers {
  std::span<const void* const> inputs;  // null for an absent input
  std::span<void* const> outputs;
  void* scratch = nullptr;          // scratch_bytes(), 64-byte aligned
  kernels::WeightStream next = {};  // what a later step will read, to be fetched into caches meanwhile
};

/// A prepared step: immutable, shapes and constants bound.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual int64_t scratch_bytes() const { return 0; }
  virtual int64_t packed_bytes() const { return 0; }
  /// Those it streams in at each run; nothing where it does not say, nor fetches those of others.
  virtual kernels::WeightStream weights() const { return {}; }
  /// False for an input that run() gets as null: what it needs of that constant is packed.
  virtual bool reads(int input) const { return static_cast<void>(input), true; }
  /// Fails only where the plain backend meets data it must refuse (an index out of range).
  virtual Status run(const StepBuffers& buffers, ThreadPool& pool) const = 0;
};

/// One node with all that choosing a kernel may look at. Types are static.
struct NodeCase {
  const ir::Node& node;
  Isa isa;
  int threads;
  PackCache* packs;
  // Of input 0 and output 0: elements from pixel to pixel of a wider tensor (storage.h); 0: its own.
  int64_t src_pitch = 0, dst_pitch = 0;
  std::vector<int64_t> src_pitches = {};  // of all inputs of a Concat; empty: 0
  /// Inputs of a Concat that lie in its output already, outputs of a Split that lie in its input; empty:
  /// none.
  std::vector<bool> placed = {};
  const ir::Node* timed = nullptr;  // the one whose tactic counts; null: the node

  const ir::TensorType& in(int i) const { return node.input(i)->type; }
  const ir::TensorType& out(int i = 0) const { return node.output(i)->type; }
  bool has(int i) const { return node.input(i) != nullptr; }
  const Tensor* constant(int i) const {
    return has(i) && node.input(i)->is_constant() ? &node.input(i)->constant() : nullptr;
  }
};

struct Implementation {
  std::string name;
  Isa isa = Isa::plain;
  /// Empty when it can run the node, else why not.
  std::function<std::string(const NodeCase&)> unsupported;
  std::function<Result<std::unique_ptr<Kernel>>(const NodeCase&)> create;
  /// Element types of its data, for the docs' table.
  std::string formats = "any";
};

/// Whether another kernel may give other bits: integers leave every kernel alike.
bool has_float_result(const ir::Node& node);

/// The candidates for an op, best first; the reference backend is the last wherever it has the op.
const std::vector<Implementation>& implementations(ir::Op op);

/// A step that is a lambda: most kernels are one call with a spec bound.
template <class F>
class LambdaKernel final : public Kernel {
 public:
  LambdaKernel(F run, int64_t scratch) : run_(std::move(run)), scratch_(scratch) {}
  int64_t scratch_bytes() const override { return scratch_; }
  Status run(const StepBuffers& buffers, ThreadPool& pool) const override {
    run_(buffers, pool);
    return {};
  }

 private:
  F run_;
  int64_t scratch_;
};

template <class F>
Result<std::unique_ptr<Kernel>> make_kernel(F run, int64_t scratch = 0) {
  return std::unique_ptr<Kernel>(std::make_unique<LambdaKernel<F>>(std::move(run), scratch));
}

/// The per-tensor quantization of a type, {1, 0} when it has none.
kernels::TensorQuant tensor_quant(const ir::TensorType& type);
/// "activation", "alpha", "beta" of a fused node. Unknown names are an internal error caught by
/// unsupported().
bool read_activation(const ir::Node& node, kernels::Activation& activation);

}  // namespace narrow::runtime
