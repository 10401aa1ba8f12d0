#include "ir/merged.h"

namespace narrow::ir {

std::vector<std::string> merged_layers(const Node& split) {
  const auto found = split.attrs.find(kMergedLayers);
  const auto* names =
      found == split.attrs.end() ? nullptr : std::get_if<std::vector<std::string>>(&found->second);
  return names != nullptr && names->size() == split.outputs().size() ? *names : std::vector<std::string>();
}

const Node* split_of_merged(const Node& conv) {
  if (conv.op() != Op::FusedConv || conv.output()->uses().size() != 1) return nullptr;
  const Node* reader = conv.output()->uses()[0].node;
  return reader->op() == Op::Split && !merged_layers(*reader).empty() ? reader : nullptr;
}

}  // namespace narrow::ir
