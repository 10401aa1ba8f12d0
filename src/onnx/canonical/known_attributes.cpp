// Which attributes each op has in the form of ir/ops, and of which kind. Inference and kernels read
// attributes by name and fall back to the default: an attribute they do not know must not pass unseen.
#include <fmt/format.h>

#include <map>
#include <string_view>

#include "onnx/canonical/canonical.h"

namespace narrow::onnx {
namespace {

using ir::Op;

// i int, f float, s string, I ints, F floats, S strings, t tensor, g graph: in the order of ir::Attribute's
// alternatives below.
constexpr std::string_view kKinds = "ifsIFStg";
constexpr const char* kKindNames[] = {"an int", "a float", "a string", "ints",
                                      "floats", "strings", "a tensor", "a graph"};

const std::map<Op, std::string_view>& known_attributes() {
  static const std::map<Op, std::string_view> table = {
      // clang-format off
      {Op::Conv, "s:auto_pad I:dilations i:group I:kernel_shape I:pads I:strides"},
      {Op::ConvTranspose, "s:auto_pad I:dilations i:group I:kernel_shape I:output_padding I:output_shape I:pads I:strides"},
      {Op::Gemm, "f:alpha f:beta i:transA i:transB"},
      {Op::Einsum, "s:equation"},
      {Op::MaxPool, "s:auto_pad i:ceil_mode I:dilations I:kernel_shape I:pads i:storage_order I:strides"},
      {Op::AveragePool, "s:auto_pad i:ceil_mode i:count_include_pad I:dilations I:kernel_shape I:pads I:strides"},
      {Op::LpPool, "s:auto_pad i:ceil_mode I:dilations I:kernel_shape i:p I:pads I:strides"},
      {Op::BatchNormalization, "f:epsilon"},
      {Op::InstanceNormalization, "f:epsilon"},
      {Op::LayerNormalization, "i:axis f:epsilon i:stash_type"},
      {Op::GroupNormalization, "f:epsilon i:num_groups i:stash_type"},
      {Op::RMSNormalization, "i:axis f:epsilon i:stash_type"},
      {Op::LRN, "f:alpha f:beta f:bias i:size"},
      {Op::LpNormalization, "i:axis i:p"},
      {Op::MeanVarianceNormalization, "I:axes"},
      {Op::LeakyRelu, "f:alpha"},
      {Op::Elu, "f:alpha"},
      {Op::Selu, "f:alpha f:gamma"},
      {Op::Celu, "f:alpha"},
      {Op::ThresholdedRelu, "f:alpha"},
      {Op::HardSigmoid, "f:alpha f:beta"},
      {Op::Swish, "f:alpha"},
      {Op::Gelu, "s:approximate"},
      {Op::IsInf, "i:detect_negative i:detect_positive"},
      {Op::Mod, "i:fmod"},
      {Op::Softmax, "i:axis"},
      {Op::LogSoftmax, "i:axis"},
      {Op::ReduceMean, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceSum, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceMax, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceMin, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceProd, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceL1, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceL2, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceSumSquare, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceLogSum, "i:keepdims i:noop_with_empty_axes"},
      {Op::ReduceLogSumExp, "i:keepdims i:noop_with_empty_axes"},
      {Op::ArgMax, "i:axis i:keepdims i:select_last_index"},
      {Op::ArgMin, "i:axis i:keepdims i:select_last_index"},
      {Op::TopK, "i:axis i:largest i:sorted"},
      {Op::CumSum, "i:exclusive i:reverse"},
      {Op::Cast, "s:round_mode i:saturate i:to"},
      {Op::CastLike, "s:round_mode i:saturate"},
      {Op::ConstantOfShape, "t:value"},
      {Op::Shape, "i:end i:start"},
      {Op::Reshape, "i:allowzero"},
      {Op::Flatten, "i:axis"},
      {Op::Transpose, "I:perm"},
      {Op::Concat, "i:axis"},
      {Op::Split, "i:axis i:num_outputs"},
      {Op::Gather, "i:axis"},
      {Op::GatherElements, "i:axis"},
      {Op::GatherND, "i:batch_dims"},
      {Op::ScatterElements, "i:axis s:reduction"},
      {Op::ScatterND, "s:reduction"},
      {Op::Pad, "s:mode"},
      {Op::Resize, "i:antialias I:axes s:coordinate_transformation_mode f:cubic_coeff_a i:exclude_outside f:extrapolation_value s:keep_aspect_ratio_policy s:mode s:nearest_mode"},
      {Op::DepthToSpace, "i:blocksize s:mode"},
      {Op::SpaceToDepth, "i:blocksize"},
      {Op::Trilu, "i:upper"},
      {Op::OneHot, "i:axis"},
      {Op::EyeLike, "i:dtype i:k"},
      {Op::Attention, "i:is_causal i:kv_num_heads i:q_num_heads i:qk_matmul_output_mode f:scale f:softcap i:softmax_precision"},
      {Op::RotaryEmbedding, "i:interleaved i:num_heads i:rotary_embedding_dim"},
      {Op::QuantizeLinear, "i:axis i:block_size i:output_dtype i:precision i:saturate"},
      {Op::DequantizeLinear, "i:axis i:block_size i:output_dtype"},
      {Op::QLinearConv, "s:auto_pad I:dilations i:group I:kernel_shape I:pads I:strides"},
      {Op::ConvInteger, "s:auto_pad I:dilations i:group I:kernel_shape I:pads I:strides"},
      {Op::QLinearConcat, "i:axis"},
      {Op::QLinearGlobalAveragePool, "i:channels_last"},
      {Op::QLinearAveragePool, "s:auto_pad i:ceil_mode i:channels_last i:count_include_pad I:kernel_shape I:pads I:strides"},
      {Op::QLinearLeakyRelu, "f:alpha"},
      {Op::QLinearSoftmax, "i:axis i:opset"},
      {Op::QGemm, "f:alpha i:transA i:transB"},
      {Op::Shrink, "f:bias f:lambd"},
      {Op::BitCast, "i:to"},
      {Op::BitShift, "s:direction"},
      {Op::SwiGLU, "f:alpha"},
      {Op::CumProd, "i:exclusive i:reverse"},
      {Op::Hardmax, "i:axis"},
      {Op::Compress, "i:axis"},
      {Op::Unique, "i:axis i:sorted"},
      {Op::NonMaxSuppression, "i:center_point_box"},
      {Op::ReverseSequence, "i:batch_axis i:time_axis"},
      {Op::CenterCropPad, "I:axes"},
      {Op::TensorScatter, "i:axis s:mode"},
      {Op::GridSample, "i:align_corners s:mode s:padding_mode"},
      {Op::AffineGrid, "i:align_corners"},
      {Op::RoiAlign, "s:coordinate_transformation_mode s:mode i:output_height i:output_width i:sampling_ratio f:spatial_scale"},
      {Op::MaxUnpool, "I:kernel_shape I:pads I:strides"},
      {Op::Col2Im, "I:dilations I:pads I:strides"},
      {Op::DeformConv, "I:dilations i:group I:kernel_shape i:offset_group I:pads I:strides"},
      {Op::DFT, "i:inverse i:onesided"},
      {Op::STFT, "i:onesided"},
      {Op::HannWindow, "i:output_datatype i:periodic"},
      {Op::HammingWindow, "i:output_datatype i:periodic"},
      {Op::BlackmanWindow, "i:output_datatype i:periodic"},
      {Op::MelWeightMatrix, "i:output_datatype"},
      {Op::NegativeLogLikelihoodLoss, "i:ignore_index s:reduction"},
      {Op::SoftmaxCrossEntropyLoss, "i:ignore_index s:reduction"},
      {Op::RNN, "F:activation_alpha F:activation_beta S:activations f:clip s:direction i:hidden_size i:layout"},
      {Op::GRU, "F:activation_alpha F:activation_beta S:activations f:clip s:direction i:hidden_size i:layout i:linear_before_reset"},
      {Op::LSTM, "F:activation_alpha F:activation_beta S:activations f:clip s:direction i:hidden_size i:input_forget i:layout"},
      {Op::If, "i:captures g:else_branch g:then_branch"},
      {Op::Loop, "g:body i:captures"},
      {Op::Scan, "g:body i:captures i:num_scan_inputs I:scan_input_axes I:scan_input_directions I:scan_output_axes I:scan_output_directions"},
      {Op::LinearAttention, "i:chunk_size i:kv_num_heads i:q_num_heads f:scale s:update_rule"},
      {Op::CausalConvWithState, "s:activation"},
      {Op::FlexAttention, "i:captures g:prob_mod f:scale g:score_mod i:softmax_precision"},
      {Op::MatMulNBits, "i:K i:N i:accuracy_level i:bits i:block_size"},
      // clang-format on
  };
  return table;
}

/// The kind of attribute `name` in a list "i:axis f:alpha"; 0 when the list lacks it.
char kind_of(std::string_view list, const std::string& name) {
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at + 2, end - at - 2) == name) return list[at];
    at = end + 1;
  }
  return 0;
}

}  // namespace

Status check_attributes(const Draft& draft) {
  const auto known = known_attributes().find(draft.op);
  const std::string_view list = known == known_attributes().end() ? std::string_view() : known->second;
  for (const auto& [name, value] : draft.attrs) {
    const char kind = kind_of(list, name);
    if (kind == 0)
      return draft.invalid(
          fmt::format("attributes that {} has at opset {}", draft.source.op_type, draft.opset()),
          "'" + name + "'", "the exporter may have written another opset than it declares");
    if (value.index() >= kKinds.size() || kKinds[value.index()] != kind)
      return draft.invalid(fmt::format("{} as attribute '{}'", kKindNames[kKinds.find(kind)], name),
                           value.index() < kKinds.size() ? kKindNames[value.index()] : "a graph");
  }
  return {};
}

}  // namespace narrow::onnx
