// FP32 weights to s8, one scale per result channel.
#pragma once

#include <cstdint>

#include "numerics/quantization.h"
#include "tensor/tensor.h"

namespace narrow::quant {

/// Symmetric scales along `axis`: for each channel the clip with the least squared rounding and clipping
/// error among factors 1.00, 0.98, ... 0.70 of the largest magnitude. `bits`: 8 or 4.
Quantization weight_scales(const Tensor& weights, int64_t axis, int bits = 8);

/// s8 codes in [-127, 127], for 4 bits in [-7, 7]; `quant.axis` may be -1 (one scale).
Tensor quantize_weights(const Tensor& weights, const Quantization& quant, int bits = 8);

/// `rounded`: the weights as they will be, w', in FP32. What rounding them does to the mean of each result
/// channel, negated:  -sum_k (w'_k - w_k) * mean_k, with the mean of each input channel on calibration data;
/// w' = `rounded`, in FP32. `axis` is the result channel of `weights`; the input channel is axis 1 of a
/// convolution (channels of its group), the other axis of a matrix. Source: Nagel et al., "Data-Free
/// Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721, 4.2.
std::vector<float> bias_correction(const Tensor& weights, const Tensor& rounded, int64_t axis, int64_t groups,
                                   const std::vector<float>& input_mean);

/// The FP32 numbers that codes stand for.
Tensor dequantize_weights(const Tensor& codes, const Quantization& quant);

/// s32 bias codes: round_half_even(bias / (input_scale * weight_scale[c])).
Tensor quantize_bias(const Tensor& bias, float input_scale, const Quantization& weights);

/// Raises the scale of every channel whose bias would not fit: |bias / (input_scale * scale)| <= 2^30, which
/// leaves room for any accumulator of fewer than 2^15 products. Returns how many channels changed.
int64_t fit_bias(const Tensor& bias, float input_scale, Quantization& weights);

}  // namespace narrow::quant
