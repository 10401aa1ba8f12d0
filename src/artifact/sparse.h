// Constants of many zeros, kept without them: a mask of what is there, and that.
//
// A tensor [outer, extent, inner] about one axis is lines along that axis; lines are cut into runs of `run`
// elements, the last of each line perhaps shorter. mask: a bit for each run, line after line, lowest bits of
// a byte first: 1 where any element of the run is kept, else all are zero. kept: the elements of kept runs in
// that order, `bits` each (numerics/packing.h). "Zero" is what dequantizes to zero: 0, or for codes with zero
// points (`fill`) the zero point of the element's group.
//
// Two of each four runs kept, a mask needs three bits for four: two_of_four, the number of the pair among
// 0011 0101 0110 1001 1010 1100 (as the mask's bits would be).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "ir/graph.h"
#include "ir/text.h"
#include "tensor/tensor.h"

namespace narrow::artifact {

/// What zeros are where codes have zero points, laid out as DequantizeLinear reads them.
struct SparseFill {
  Tensor zero_point;
  int64_t axis = 0, block = 0;  // block 0: one for each index of the axis, or one in all
};

struct SparseForm {
  int64_t axis = 0, run = 1;
  bool two_of_four = false;
};

/// Whole bytes, or integers of fewer bits; neither booleans nor floats of 8 bits and fewer.
bool can_be_sparse(DType dtype);

/// A constant as it is to be stored.
struct SparseConstant {
  DType dtype = DType::undefined;
  Shape shape;
  int bits = 0;  // of a kept element
  SparseForm form;
  std::string mask, kept;
  int64_t bytes() const { return static_cast<int64_t>(mask.size() + kept.size()); }
};

/// The smallest form of `tensor`, or nothing where that is not an eighth smaller than all of it: what is
/// gained must pay for putting it together when the file is opened. Precondition: can_be_sparse().
std::optional<SparseConstant> make_sparse(const Tensor& tensor, const SparseFill* fill);

/// How the constant `value` of a graph is dequantized, where zero points say what zero is.
std::optional<SparseFill> fill_of(const ir::Value& value);

/// Puts mask, kept and zero points into the blob and describes them: {sparse, dtype, shape, bits, axis, run,
/// mask, kept, fill}. Zero points that the graph's text puts into the blob stand there once.
Json append_sparse(const SparseConstant& constant, const SparseFill* fill, ir::Blob& blob);
/// True for what append_sparse() made.
bool is_sparse(const Json& json);

/// Where the bytes of one lie in the blob.
struct SparsePlaces {
  int64_t mask_offset = 0, mask_bytes = 0, kept_offset = 0, kept_bytes = 0;
};
Result<SparsePlaces> places_of(const Json& json, std::span<const std::byte> blob, const std::string& subject);
/// The constant with its zeros. Errors: invalid_model, what is wrong.
Result<Tensor> read_sparse(const Json& json, std::span<const std::byte> blob, const std::string& subject);

}  // namespace narrow::artifact
