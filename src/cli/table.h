// Text tables with aligned columns.
#pragma once

#include <string>
#include <vector>

namespace narrow::cli {

/// Columns are as wide as their widest cell; a column is right-aligned when `right` says so. The last is
/// never padded.
std::string table(const std::vector<std::string>& head, const std::vector<std::vector<std::string>>& cells,
                  const std::vector<bool>& right);

}  // namespace narrow::cli
