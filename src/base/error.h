// What went wrong with somebody's input: who, what was expected, what came, what to do about it.
#pragma once

#include <string>

namespace narrow {

enum class Code {
  usage,             // the command line or an expression on it cannot be understood (exit code 2)
  invalid_argument,  // a value given to a function or option
  invalid_model,     // a model or artifact file
  invalid_data,      // a data set, an input tensor, a calibration file
  unsupported,       // correct, but narrow cannot do it
  not_found,         // a file, a name
  io,                // reading or writing failed
  numerical,         // NaN, Inf, overflow
  internal,          // a defect of narrow that was caught in time
};

const char* to_string(Code code);

struct Error {
  Code code = Code::internal;
  std::string subject = {};   // "QuantizeLinear 'conv1_in_q' in resnet.onnx"
  std::string expected = {};  // "scale > 0 and finite in every channel"
  std::string got = {};       // "0 at channel 3"
  std::string hint = {};      // what to do; may be empty

  /// "subject: expected E, got G (hint)"; parts that are empty are left out ("subject: G" without an
  /// expectation).
  std::string message() const;
};

}  // namespace narrow
