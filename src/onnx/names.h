// Names of a model file as UTF-8.
#pragma once

#include "onnx/proto.h"

namespace narrow::onnx {

/// Writes bytes that are no UTF-8 as \xHH in every string of the model (names, operators, symbols), so that
/// reports, calibration files and artifacts can hold them. Equal names stay equal; file names of external
/// data stay as they are.
void make_names_utf8(pb::ModelProto& model);

}  // namespace narrow::onnx
