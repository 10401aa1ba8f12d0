// --config FILE: options from a TOML file, written as if they stood on the command line.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace narrow::cli {

/// Replaces `--config FILE` by the file's options: `key = value` becomes `--key value`, a list repeats it,
/// `true` gives the flag, `model` the MODEL. What the command line gives itself wins. Errors: not_found, io,
/// invalid_argument.
Result<std::vector<std::string>> expand_config(std::vector<std::string> arguments);

}  // namespace narrow::cli
