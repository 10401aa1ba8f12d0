// The ONNX schema's classes under a name that cannot be mistaken for narrow::onnx.
#pragma once

#include "onnx-ml.pb.h"

namespace narrow::onnx {
namespace pb = ::onnx;

/// The newest opset whose forms of narrow's operators are the ones ir/ops describes.
constexpr int64_t kNewestOpset = 28;
constexpr int64_t kOldestOpset = 7;
constexpr int64_t kExportOpset = 21;
constexpr int64_t kExportIrVersion = 10;
/// How the keys of graph metadata begin that files carry as metadata_props.
constexpr const char* kOwnMetadata = "narrow.";

}  // namespace narrow::onnx
