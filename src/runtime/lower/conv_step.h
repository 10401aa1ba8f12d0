// What convolutions and products with constant weights share: the convolution kernels behind a step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/conv/conv.h"
#include "runtime/kernel.h"

namespace narrow::runtime::lower {

/// inputs: 0 data, 1 weights (packed already), 2 bias (packed already), 3 residual.
class ConvStep final : public Kernel {
 public:
  ConvStep(std::unique_ptr<kernels::ConvKernel> kernel, std::shared_ptr<const kernels::PackedWeights> packed)
      : kernel_(std::move(kernel)), packed_(std::move(packed)) {}
  int64_t scratch_bytes() const override { return kernel_->scratch_bytes(); }
  int64_t packed_bytes() const override { return packed_->bytes(); }
  kernels::WeightStream weights() const override { return kernel_->weights(); }
  bool reads(int input) const override { return input != 1 && input != 2; }
  Status run(const StepBuffers& b, ThreadPool& pool) const override {
    kernel_->run({.src = b.inputs[0],
                  .residual = b.inputs.size() > 3 ? b.inputs[3] : nullptr,
                  .dst = b.outputs[0],
                  .scratch = b.scratch,
                  .next = b.next},
                 pool);
    return {};
  }

 private:
  std::unique_ptr<kernels::ConvKernel> kernel_;
  std::shared_ptr<const kernels::PackedWeights> packed_;
};

/// Fills the spec's shape and calls finish_spec(); returns why the kernels cannot, or nothing.
using MakeSpec = std::string (*)(const NodeCase& c, kernels::ConvSpec& spec);
/// The constant in the kernels' order [oc, c/groups, kh, kw].
using MakeWeights = Tensor (*)(const NodeCase& c);

/// Types, activation and quantization of a fused node (inputs: data, weights, bias, residual).
std::string finish_spec(const NodeCase& c, kernels::ConvSpec& spec);
std::vector<Implementation> conv_implementations(MakeSpec make, MakeWeights weights);

}  // namespace narrow::runtime::lower
