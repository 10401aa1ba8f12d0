#include <fmt/format.h>
#include <fmt/ranges.h>

#include "command.h"

namespace narrow::kernels_tool {

void add_case(CLI::App& app, std::vector<std::string>& words) {
  app.add_option("CASE", words, "a family and its fields, in quotes or not")->required();
}

Result<kernel_cases::Case> case_of(const std::vector<std::string>& words) {
  return kernel_cases::parse_case(fmt::format("{}", fmt::join(words, " ")));
}

std::string repeat(const kernel_cases::Case& c) {
  return fmt::format("narrow-kernels check '{}'", kernel_cases::text(c));
}

}  // namespace narrow::kernels_tool
