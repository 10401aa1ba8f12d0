#include "data/dataset.h"

#include <fmt/format.h>

#include "data/dataset_kinds.h"
#include "data/npz.h"

namespace narrow::data {
namespace fs = std::filesystem;

namespace {

/// The inputs that the data must hold.
Result<std::vector<InputSpec>> inputs_without_states(const Config& config,
                                                     const std::vector<InputSpec>& inputs,
                                                     const std::string& subject) {
  std::vector<InputSpec> fed;
  for (const InputSpec& input : inputs)
    if (!config.states.contains(input.name)) fed.push_back(input);
  if (fed.size() + config.states.size() == inputs.size()) return fed;
  std::string names;
  for (const InputSpec& input : inputs) names += (names.empty() ? "" : ", ") + input.name;
  return Error{.code = Code::invalid_data,
               .subject = subject + ": key 'states'",
               .expected = "inputs of the model (" + names + ")",
               .got = fmt::format("{} names of which some are none", config.states.size())};
}

}  // namespace

Result<std::unique_ptr<Dataset>> open_dataset(const fs::path& given, const std::vector<InputSpec>& inputs) {
  fs::path path = given;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    path /= "dataset.toml";
    if (!fs::exists(path, error))
      return Error{.code = Code::invalid_data,
                   .subject = given.string(),
                   .expected = "a folder that holds dataset.toml",
                   .got = "one without it",
                   .hint = "write one (docs/data.md) or name an .npz"};
  }
  if (path.extension() == ".npz") {
    NARROW_TRY(TensorMap arrays, read_npz(path));
    return open_arrays(std::move(arrays), path, inputs);
  }
  if (path.extension() == ".npy") {
    NARROW_TRY(Tensor array, read_npy(path));
    if (inputs.size() != 1)
      return Error{.code = Code::invalid_data,
                   .subject = given.string(),
                   .expected = "an .npz with one array per input",
                   .got = fmt::format("one array for {} inputs", inputs.size())};
    return open_arrays({{inputs[0].name, std::move(array)}}, path, inputs);
  }
  if (path.extension() != ".toml")
    return Error{.code = fs::exists(path, error) ? Code::invalid_data : Code::not_found,
                 .subject = given.string(),
                 .expected = "a .toml, a folder with dataset.toml, an .npz or an .npy",
                 .got = fs::exists(path, error) ? "another kind of file" : "nothing there"};
  NARROW_TRY(const Config config, read_config(path));
  NARROW_TRY(const std::vector<InputSpec> fed, inputs_without_states(config, inputs, path.string()));
  NARROW_TRY(std::unique_ptr<Dataset> dataset,
             config.kind == "images" ? open_images(config, path, fed) : open_tensors(config, path, fed));
  dataset->carry(config.states);
  return dataset;
}

Status check_normalisation(const Config& config, int64_t channels, const std::string& subject) {
  for (const auto* list : {&config.mean, &config.std})
    if (list->size() > 1 && static_cast<int64_t>(list->size()) != channels)
      return Error{.code = Code::invalid_data,
                   .subject = subject,
                   .expected = fmt::format("mean and std of 1 or {} entries", channels),
                   .got = fmt::format("{}", list->size())};
  return {};
}

Result<InputSpec> only_input(const Config& config, const std::vector<InputSpec>& inputs,
                             const std::string& subject) {
  std::string names;
  for (const InputSpec& input : inputs) {
    if (input.name == config.input || (config.input.empty() && inputs.size() == 1)) return input;
    names += (names.empty() ? "" : ", ") + input.name;
  }
  return Error{.code = Code::invalid_data,
               .subject = subject + ": key 'input'",
               .expected = "one of the model's inputs (" + names + ")",
               .got = config.input.empty() ? "no such key" : "'" + config.input + "'"};
}

int64_t fixed_batch(const InputSpec& input) {
  return !input.ranked || input.dims.empty() || input.dims[0] < 0 ? 0 : input.dims[0];
}

int64_t whole_batches(int64_t samples, int64_t batch) {
  return batch > 1 && samples > batch ? samples - samples % batch : samples;
}

}  // namespace narrow::data
