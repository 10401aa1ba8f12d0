// Constants kept as a convolution kernel reads them, instead of in the order of the graph.
//
// They are mapped and used where they lie; whoever wants the graph's order (another instruction set, another
// tool) gets it back bit for bit on the first read.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/json.h"
#include "base/result.h"
#include "kernels/conv/conv.h"
#include "tensor/tensor.h"

namespace narrow::artifact {

struct PackedConstant {
  Tensor constant;     // of the graph: [oc, c/groups, kh, kw], or any shape of as many elements in that order
  std::string kernel;  // a candidate of kernels/conv with a ConvStorage
  kernels::ConvSpec spec;   // what ConvStorage looks at
  bool transposed = false;  // the constant is [c, oc]
  std::vector<AlignedBuffer> parts;
};

/// Whether the weights of two specs lie alike.
bool packs_alike(const kernels::ConvSpec& a, const kernels::ConvSpec& b);
/// The constant in the order of the graph, constant.bytes() of it.
void unpack_constant(const PackedConstant& packed, std::byte* out);

/// {kernel, dtype, dims, parts}: `offsets` are those of the parts.
Json to_json(const PackedConstant& packed, std::span<const int64_t> offsets);
/// Everything but `constant`; parts borrow `blob`, whose owner they keep. Errors: invalid_model.
Result<PackedConstant> packed_from_json(const Json& json, std::span<const std::byte> blob,
                                        const std::shared_ptr<const void>& owner, const std::string& subject);
/// The constant in the order of the graph, [oc, c/groups, kh, kw] or [c, oc], which unpacks on its first
/// read.
Tensor deferred_constant(const PackedConstant& packed);

}  // namespace narrow::artifact
