// Changes of constants that are decided one by one and made together: a constant that all its readers want
// changed alike stays one constant, readers that want something else get their own.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "quant/hadamard.h"

namespace narrow::quant {

class ConstantEdits {
 public:
  /// What becomes of input `input` of `node`, after what was added for it before. Edits of one constant that
  /// have the same `key` must do the same.
  void add(ir::Node* node, int input, const std::string& key, std::function<Tensor(const Tensor&)> edit);
  void apply(ir::Graph& graph) const;

 private:
  struct Edit {
    std::string key;
    std::vector<std::function<Tensor(const Tensor&)>> steps;
  };
  struct Place {
    ir::Node* node;
    int input;
  };
  Edit& edit_of(ir::Node* node, int input);

  std::vector<Place> places_;  // in the order they were added
  std::vector<Edit> edits_;    // of each place
  std::map<std::pair<const ir::Node*, int>, size_t> index_;
};

/// Vectors along `axis`, times `scale` where it is not empty, then the blocks that begin at `starts` times R.
/// An axis of one number is repeated to `extent` first.
Tensor rotated(const Tensor& tensor, int64_t axis, int64_t extent, const std::vector<int64_t>& starts,
               const Rotation& rotation, const std::vector<double>& scale = {});
/// `vector` added along the last axis, which is repeated where it is one number.
Tensor shifted(const Tensor& tensor, const std::vector<double>& vector);

}  // namespace narrow::quant
