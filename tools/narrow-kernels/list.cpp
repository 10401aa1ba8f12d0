#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/cpu.h"
#include "cli/table.h"
#include "command.h"
#include "kernel_cases/family.h"

namespace narrow::kernels_tool {
namespace {

using kernel_cases::Family;
using kernel_cases::Field;

std::string values_of(const Field& f) {
  using kernel_cases::Kind;
  if (f.kind == Kind::choice) return fmt::format("{}", fmt::join(f.choices, " "));
  if (f.kind == Kind::flag) return "flag";
  if (f.kind == Kind::real) return "number";
  const std::string_view form = f.kind == Kind::pair ? "HxW, each " : "";
  return f.high == INT64_MAX ? fmt::format("{}from {}", form, f.low)
                             : fmt::format("{}{} to {}", form, f.low, f.high);
}

std::string standard_of(const Field& f) {
  if (f.kind == kernel_cases::Kind::flag) return "off";
  if (f.standard.a < f.low && f.kind != kernel_cases::Kind::choice && f.kind != kernel_cases::Kind::real)
    return "derived";
  const std::string text = print_field(f, f.standard);
  return text.substr(text.find('=') + 1);
}

void print_fields(const Family& family) {
  std::vector<std::vector<std::string>> rows;
  for (const Field& field : family.fields) rows.push_back({field.name, standard_of(field), values_of(field)});
  fmt::print("{}: {}\n\n{}", family.name, family.about,
             cli::table({"field", "default", "values"}, rows, {false, false, false}));
}

Result<int> run(const std::string& name) {
  if (!name.empty()) {
    NARROW_TRY(const kernel_cases::Case standard, kernel_cases::parse_case(name));
    print_fields(*standard.family);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Family& family : kernel_cases::families())
    for (const kernel_cases::Listed& one : family.candidates())
      rows.push_back(
          {family.name, one.name, to_string(one.isa), runs_here(one.isa) ? "yes" : "no", one.takes});
  fmt::print("{}", cli::table({"family", "candidate", "isa", "usable", "takes"}, rows,
                              {false, false, false, false, false}));
  return kDone;
}

}  // namespace

Command add_list(CLI::App& root) {
  auto family = std::make_shared<std::string>();
  CLI::App* app =
      root.add_subcommand("list", "families and their candidates; with FAMILY, the fields of its cases");
  app->add_option("FAMILY", *family, "one family");
  return {app, [family] { return run(*family); }};
}

}  // namespace narrow::kernels_tool
