#include "onnx/export_names.h"

#include <set>

namespace narrow::onnx {
namespace {

class Namer {
 public:
  explicit Namer(const ir::Graph& graph) : graph_(graph) {}

  Result<FileNames> run() {
    for (const ir::Value* input : graph_.inputs()) assign(input, input->name);
    for (const ir::GraphOutput& output : graph_.outputs()) NARROW_DO(name_output(output));
    for (const ir::Value* value : graph_.values())
      if (!names_.of.contains(value)) assign(value, fresh(value->name));
    return std::move(names_);
  }

 private:
  void assign(const ir::Value* value, const std::string& name) {
    taken_.insert(name);
    names_.of.emplace(value, name);
  }

  Status name_output(const ir::GraphOutput& output) {
    const ir::Value* value = output.value;
    const bool is_the_input = value->is_graph_input() && value->name == output.name;
    if (!returned_.insert(output.name).second || (taken_.contains(output.name) && !is_the_input))
      return Error{.code = Code::invalid_model,
                   .subject = "output '" + output.name + "'",
                   .expected = "a name that no input and no other output has",
                   .got = "the same name twice"};
    if (is_the_input) return {};
    if (value->producer() != nullptr && !names_.of.contains(value)) {
      assign(value, output.name);
    } else {
      taken_.insert(output.name);
      names_.copies.push_back(output);
    }
    return {};
  }

  std::string fresh(const std::string& base) const {
    std::string name = base;
    for (int64_t i = 1; taken_.contains(name); ++i) name = base + "_" + std::to_string(i);
    return name;
  }

  const ir::Graph& graph_;
  FileNames names_;
  std::set<std::string> taken_, returned_;
};

}  // namespace

Result<FileNames> name_values(const ir::Graph& graph) { return Namer(graph).run(); }

}  // namespace narrow::onnx
