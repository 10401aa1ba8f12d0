// What the float candidates share.
#pragma once

#include <string>

#include "kernels/conv/conv.h"
#include "kernels/conv/f32_tile.h"

namespace narrow::kernels {

/// Empty when weights, dst and residual are float types the f32 kernels read and write, else why not.
std::string unsupported_float_types(const ConvSpec& spec);

F32Epilogue f32_epilogue(const ConvSpec& spec);

}  // namespace narrow::kernels
