// Packed weights of a session, shared by the plans of all its input shapes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "artifact/packed.h"
#include "kernels/conv/conv.h"
#include "tensor/tensor.h"

namespace narrow::runtime {

/// What a step needs packed.
struct PackRequest {
  const std::string& node;  // scales are part of what is packed: two nodes may share weights
  const kernels::ConvCandidate& candidate;
  const kernels::ConvSpec& spec;
  const Tensor& weights;  // the graph's constant
  /// It in the kernels' order [oc, c/groups, kh, kw]; the constant itself where that is its own.
  const std::function<Tensor()>& ordered;
  const void* bias;
};

class PackCache {
 public:
  /// From any thread, for different nodes at the same time.
  std::shared_ptr<const kernels::PackedWeights> get(const PackRequest& request);
  /// Weights an artifact keeps packed: get() takes them instead of packing.
  void add(artifact::PackedConstant packed);
  void clear();
  /// What an artifact may keep of what was packed: that which unpacks to the constant bit for bit and is at
  /// most an eighth larger.
  std::vector<artifact::PackedConstant> storable() const;

 private:
  struct Key {
    std::string node;
    const kernels::ConvCandidate* candidate;
    const void* weights;  // Tensor::identity(); the tensor is kept alive here, so that it is never reused
    auto operator<=>(const Key&) const = default;  // NOLINT(modernize-use-nullptr): the 0 of its own code
  };
  struct Entry {
    Tensor weights;
    kernels::ConvSpec spec;
    bool transposed;
    std::shared_ptr<const kernels::PackedWeights> packed;
  };
  const artifact::PackedConstant* stored(const PackRequest& request) const;
  Entry& entry_of(const PackRequest& request);

  std::mutex mutex_;  // guards the map, not what is in it
  std::map<Key, Entry> entries_;
  std::vector<artifact::PackedConstant> stored_;
};

}  // namespace narrow::runtime
