// Older forms of operators -> the form ir/ops describes. A rewrite changes a draft in place and may add nodes
// before it.
#pragma once

#include <optional>
#include <string>

#include "onnx/builder.h"

namespace narrow::onnx {

using Rewrite = Status (*)(Draft& draft, GraphBuilder& builder);

struct Rule {
  ir::Op op;
  int64_t since;    // first opset of its domain whose form narrow reads
  Rewrite rewrite;  // null: every opset spells it the same way
};

/// How narrow reads the operator: nothing when it does not know it.
std::optional<Rule> find_rule(const std::string& domain, const std::string& op_type);

/// Every attribute of the rewritten draft is one its op has, of the right kind. Error: invalid_model.
Status check_attributes(const Draft& draft);

// One function per family; each file says which forms it knows.
Status rewrite_axes(Draft& draft, GraphBuilder& builder);             // axes.cpp
Status rewrite_clip(Draft& draft, GraphBuilder& builder);             // attributes.cpp
Status rewrite_slice(Draft& draft, GraphBuilder& builder);            //
Status rewrite_split(Draft& draft, GraphBuilder& builder);            //
Status rewrite_pad(Draft& draft, GraphBuilder& builder);              //
Status rewrite_top_k(Draft& draft, GraphBuilder& builder);            //
Status rewrite_resize(Draft& draft, GraphBuilder& builder);           // resize.cpp
Status rewrite_upsample(Draft& draft, GraphBuilder& builder);         //
Status rewrite_softmax(Draft& draft, GraphBuilder& builder);          // softmax.cpp
Status rewrite_batch_normalization(Draft& draft, GraphBuilder& b);    // normalization.cpp
Status rewrite_group_normalization(Draft& draft, GraphBuilder& b);    //
Status rewrite_dropout(Draft& draft, GraphBuilder& builder);          //
Status rewrite_constant(Draft& draft, GraphBuilder& builder);         // types.cpp
Status rewrite_cast(Draft& draft, GraphBuilder& builder);             //
Status rewrite_cast_like(Draft& draft, GraphBuilder& builder);        //
Status rewrite_quantize_linear(Draft& draft, GraphBuilder& builder);  //
Status rewrite_attention(Draft& draft, GraphBuilder& builder);        //
Status rewrite_dft(Draft& draft, GraphBuilder& builder);              // newer_ops.cpp
Status rewrite_roi_align(Draft& draft, GraphBuilder& builder);        //
Status rewrite_hardmax(Draft& draft, GraphBuilder& builder);          //

}  // namespace narrow::onnx
