// NumPy's .npy and .npz, read by mapping, written stored.
// Format: numpy.lib.format 1.0-3.0; .npz is a zip of .npy members (stored or deflated, zip64 sizes accepted).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace narrow::data {

/// Arrays by name (without ".npy"). Stored members borrow the mapped file, deflated ones are inflated into
/// memory. Fortran order is reordered. Errors: not_found, io, invalid_data naming the member.
Result<TensorMap> read_npz(const std::filesystem::path& path);
/// One array.
Result<Tensor> read_npy(const std::filesystem::path& path);
/// Types NumPy lacks are written wider: bf16 and floats of 8 bits or less as float32, integers of 4 and 2
/// bits as int8 or uint8. Appears complete or not at all.
Status write_npz(const std::filesystem::path& path, const TensorMap& arrays);

/// The .npy parser on memory: for read_npz and the fuzzer. `owner` keeps `bytes` alive when the tensor
/// borrows it.
Result<Tensor> parse_npy(std::span<const std::byte> bytes, const std::string& name,
                         std::shared_ptr<const void> owner);

}  // namespace narrow::data
