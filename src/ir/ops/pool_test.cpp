#include "ir/ops/schema_case.h"

namespace narrow::ir::ops {
namespace {

NARROW_SCHEMA_CASES(
    PoolSchema,
    {
        {"%x: f32[1,64,112,112]", "%y = MaxPool(%x) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]}",
         "f32[1,64,56,56]"},
        {"%x: f32[1,64,7,7]", "%y, %i = MaxPool(%x) {kernel_shape=[2,2], strides=[2,2]}",
         "f32[1,64,3,3] s64[1,64,3,3]"},
        {"%x: f32[1,64,7,7]", "%y = MaxPool(%x) {kernel_shape=[2,2], strides=[2,2], ceil_mode=1}",
         "f32[1,64,4,4]"},
        // ceil would give 3 positions, but the third starts in the end padding
        {"%x: f32[1,1,2]", "%y = MaxPool(%x) {kernel_shape=[1], strides=[2], pads=[0,1], ceil_mode=1}",
         "f32[1,1,1]"},
        {"%x: f32[1,1,8,8]", "%y = AveragePool(%x) {kernel_shape=[2,2], dilations=[3,3]}", "f32[1,1,5,5]"},
        {"%x: f32[1,1,9,9]",
         R"(%y = AveragePool(%x) {kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER"})",
         "f32[1,1,5,5]"},
        {"%x: f32[1,9,9,4]", "%y = MaxPool(%x) {kernel_shape=[3,3], channels_last=1}", "f32[1,7,7,4]"},
        {"%x: f32[N,C,H,W]", "%y = MaxPool(%x) {kernel_shape=[3,3], pads=[1,1,1,1]}", "f32[N,C,H,W]"},
        {"%x: f32", "%y = LpPool(%x) {kernel_shape=[3,3]}", "f32[?,?,?,?]"},
        {"%x: u8[1,1,4,4]<0.5,7>", "%y = MaxPool(%x) {kernel_shape=[2,2]}", "u8[1,1,3,3]<0.5,7>"},
        {"%x: u8[1,1,4,4]<0.5,7>", R"(%y = AveragePool(%x) {kernel_shape=[2,2], out_dtype="f32"})",
         "f32[1,1,3,3]"},
        {"%x: u8[1,1,4,4]", "%y = MaxPool(%x) {kernel_shape=[2,2]}", "u8[1,1,3,3]"},
        {"%x: u8[1,1,4,4]", "%y = AveragePool(%x) {kernel_shape=[2,2]}", "error: quantized"},
        {"%x: f32[1,1,4,4]", "%y = AveragePool(%x)", "error: kernel_shape"},
        {"%x: f32[1,1,4,4]", "%y = AveragePool(%x) {kernel_shape=[2]}", "error: rank 3"},
        {"%x: f32[1,1,4,4]", "%y = AveragePool(%x) {kernel_shape=[0,2]}", "error: positive"},
        {"%x: f32[N,C,7,W]", "%y = GlobalAveragePool(%x)", "f32[N,C,1,1]"},
        {"%x: f32[N,7,7,C]", "%y = GlobalAveragePool(%x) {channels_last=1}", "f32[N,1,1,C]"},
        {"%x: f32", "%y = GlobalMaxPool(%x)", "f32"},
        {"%x: f32[1,2,3]", "%y = GlobalAveragePool(%x) {channels_last=1}", "error: rank 4"},
    });

}  // namespace
}  // namespace narrow::ir::ops
