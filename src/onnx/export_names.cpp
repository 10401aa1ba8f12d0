#include "onnx/export_names.h"

namespace narrow::onnx {
namespace {

class Namer {
 public:
  Namer(const ir::Graph& graph, std::set<std::string>& taken) : graph_(graph), taken_(taken) {}

  Result<FileNames> model() {
    for (const ir::Value* input : graph_.inputs()) assign(input, input->name);
    for (const ir::GraphOutput& output : graph_.outputs()) NARROW_DO(check_output(output));
    for (const ir::GraphOutput& output : graph_.outputs()) name_output(output, output.name);
    name_the_rest();
    return std::move(names_);
  }

  FileNames body(const std::vector<std::string>& captured) {
    const std::vector<ir::Value*>& inputs = graph_.inputs();
    const size_t own = inputs.size() - captured.size();
    for (size_t i = 0; i < inputs.size(); ++i)
      if (i < own)
        assign(inputs[i], fresh(inputs[i]->name));
      else
        names_.of.emplace(inputs[i], captured[i - own]);
    for (const ir::GraphOutput& output : graph_.outputs()) name_output(output, fresh(output.name));
    name_the_rest();
    return std::move(names_);
  }

 private:
  void assign(const ir::Value* value, const std::string& name) {
    taken_.insert(name);
    names_.of.emplace(value, name);
  }

  Status check_output(const ir::GraphOutput& output) {
    if (returned_.insert(output.name).second && (!taken_.contains(output.name) || is_its_input(output)))
      return {};
    return Error{.code = Code::invalid_model,
                 .subject = "output '" + output.name + "'",
                 .expected = "a name that no input and no other output has",
                 .got = "the same name twice"};
  }

  /// An input returned under its own name.
  bool is_its_input(const ir::GraphOutput& output) const {
    const auto named = names_.of.find(output.value);
    return output.value->is_graph_input() && named != names_.of.end() && named->second == output.name;
  }

  void name_output(const ir::GraphOutput& output, const std::string& name) {
    names_.outputs.push_back(name);
    if (is_its_input({name, output.value})) return;
    if (output.value->producer() != nullptr && !names_.of.contains(output.value)) {
      assign(output.value, name);
    } else {
      taken_.insert(name);
      names_.copies.push_back({name, output.value});
    }
  }

  void name_the_rest() {
    for (const ir::Value* value : graph_.values())
      if (!names_.of.contains(value)) assign(value, fresh(value->name));
  }

  std::string fresh(const std::string& base) const {
    std::string name = base;
    for (int64_t i = 1; taken_.contains(name); ++i) name = base + "_" + std::to_string(i);
    return name;
  }

  const ir::Graph& graph_;
  FileNames names_;
  std::set<std::string>& taken_;
  std::set<std::string> returned_;
};

}  // namespace

Result<FileNames> name_values(const ir::Graph& graph, std::set<std::string>& taken) {
  return Namer(graph, taken).model();
}

FileNames name_body(const ir::Graph& body, const std::vector<std::string>& captured,
                    std::set<std::string>& taken) {
  return Namer(body, taken).body(captured);
}

}  // namespace narrow::onnx
