// States of a model carried from one run to the next: outputs that come back as inputs.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "ir/interface.h"
#include "tensor/tensor.h"

namespace narrow::runtime {

class CarriedStates {
 public:
  /// `states`: input name -> the output that is its next value. All start as zeros, free dimensions as 1.
  /// Errors: invalid_data when the model has no such input or output.
  static Result<CarriedStates> create(const std::map<std::string, std::string>& states,
                                      const ir::Interface& model);

  /// `inputs` and the states as they stand.
  TensorMap with(const TensorMap& inputs) const;
  /// After a run: its outputs are the next states.
  void take(const TensorMap& outputs);

 private:
  std::map<std::string, std::string> output_of_;  // by input
  TensorMap values_;                              // by input
};

}  // namespace narrow::runtime
