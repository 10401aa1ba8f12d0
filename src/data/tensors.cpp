// Arrays: .npz files whose first axis is the sample. States that a model takes and gives back may lie
// otherwise: along a later axis (an LSTM's [layers, batch, hidden]), whole inputs one behind the other, or
// one for all.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/hash.h"
#include "data/dataset_kinds.h"
#include "data/npz.h"

namespace narrow::data {
namespace fs = std::filesystem;
namespace {

/// How the samples of an input lie in its array.
struct Lie {
  int64_t axis = 0;     // along which
  bool whole = false;   // each sample is the whole input: the array has an axis more
  bool shared = false;  // one array for every sample of the file
  bool operator==(const Lie&) const = default;
};

/// One file's arrays and how many samples they hold.
struct Part {
  TensorMap arrays;
  int64_t samples = 0;
  std::string file = {};  // its name, without the folders
};

Tensor rows(const Tensor& tensor, int64_t axis, int64_t first, int64_t count) {
  Shape shape = tensor.shape();
  const auto at = static_cast<size_t>(axis);
  const int64_t all = shape[at];
  int64_t outer = 1;
  for (size_t i = 0; i < at; ++i) outer *= shape[i];
  shape[at] = count;
  Tensor out = Tensor::allocate(tensor.dtype(), shape);
  if (out.bytes() == 0) return out;
  const int64_t row = tensor.bytes() / outer / all;
  for (int64_t o = 0; o < outer; ++o)
    std::memcpy(static_cast<std::byte*>(out.mutable_raw()) + o * count * row,
                static_cast<const std::byte*>(tensor.raw()) + (o * all + first) * row,
                static_cast<size_t>(count * row));
  return out;
}

/// Puts `piece` under the rows already gathered.
Tensor stack(const Tensor& above, const Tensor& piece) {
  if (!above.defined()) return piece;
  Shape shape = above.shape();
  shape[0] += piece.dim(0);
  Tensor out = Tensor::allocate(above.dtype(), shape);
  std::memcpy(out.mutable_raw(), above.raw(), static_cast<size_t>(above.bytes()));
  std::memcpy(static_cast<std::byte*>(out.mutable_raw()) + above.bytes(), piece.raw(),
              static_cast<size_t>(piece.bytes()));
  return out;
}

// ---------------------------------------------------------------- where the samples are

/// The model's batch: -1 where some input's first axis is free, else the first axis of its first input.
int64_t batch_of_model(const std::vector<InputSpec>& inputs) {
  int64_t batch = 0;
  for (const InputSpec& input : inputs) {
    if (!input.ranked || input.dims.empty()) continue;
    if (input.dims[0] < 0) return -1;
    if (batch == 0) batch = input.dims[0];
  }
  return batch == 0 ? -1 : batch;
}

/// One array for all samples: no axis of it can be theirs.
bool is_whole_input(const Shape& shape, const InputSpec& input, int64_t samples) {
  const bool fixed = std::all_of(input.dims.begin(), input.dims.end(), [](int64_t dim) { return dim >= 0; });
  return (fixed || samples == 1) &&
         std::equal(shape.begin(), shape.end(), input.dims.begin(), input.dims.end(),
                    [](int64_t extent, int64_t dim) { return dim < 0 || dim == extent; });
}

/// An input whose first axis is not the model's batch: a state, a rate, a table.
bool is_aside(const InputSpec& input, int64_t batch) {
  return input.ranked && (input.dims.empty() || (input.dims[0] >= 0 && input.dims[0] != batch));
}

Lie lie_of(const Tensor& array, const InputSpec& input, int64_t samples, int64_t batch) {
  if (!is_aside(input, batch)) return {};
  const Shape& shape = array.shape();
  if (shape.size() == input.dims.size() + 1) return {.whole = true};
  for (size_t axis = 1; axis < std::min(shape.size(), input.dims.size()); ++axis)
    if (input.dims[axis] < 0 && shape[axis] == samples) return {.axis = static_cast<int64_t>(axis)};
  return is_whole_input(shape, input, samples) ? Lie{.shared = true} : Lie{};
}

/// Samples in a file: rows of an input whose first axis is the batch, else of the first array asked for.
int64_t samples_in(const TensorMap& arrays, const std::vector<InputSpec>& inputs, const std::string& first) {
  const int64_t batch = batch_of_model(inputs);
  for (const InputSpec& input : inputs) {
    const Tensor& array = arrays.at(input.name);
    if (!is_aside(input, batch) && array.rank() > 0) return array.dim(0);
  }
  return arrays.at(first).rank() > 0 ? arrays.at(first).dim(0) : 1;
}

using Lies = std::map<std::string, Lie>;

Lies lies_of(const Part& part, const std::vector<InputSpec>& inputs) {
  Lies lies;
  for (const InputSpec& input : inputs)
    lies[input.name] = lie_of(part.arrays.at(input.name), input, part.samples, batch_of_model(inputs));
  return lies;
}

class Tensors final : public Dataset {
 public:
  Tensors(Config config, std::vector<InputSpec> inputs, std::vector<Part> parts, DatasetInfo info)
      : config_(std::move(config)),
        inputs_(std::move(inputs)),
        parts_(std::move(parts)),
        lies_(lies_of(parts_[0], inputs_)) {
    info_ = std::move(info);
    for (const Part& part : parts_) size_ += part.samples;
    size_ = whole_batches(size_, info_.largest_batch);
  }
  int64_t size() const override { return size_; }

  /// With several files also whose sample it is.
  std::string sample_name(int64_t sample) const override {
    if (parts_.size() == 1) return Dataset::sample_name(sample);
    for (const Part& part : parts_) {
      if (sample < part.samples) return fmt::format("{}[{}]", part.file, sample);
      sample -= part.samples;
    }
    return Dataset::sample_name(sample);
  }

  Result<Batch> read(int64_t first, int64_t count, ThreadPool& /*pool*/) const override {
    Batch batch{.count = count, .inputs = {}, .labels = {}, .targets = {}};
    for (const InputSpec& input : inputs_)
      batch.inputs[input.name] = cast(prepare(gather(input.name, first, count), input), input.dtype);
    if (!config_.labels.empty()) batch.labels = to_ints(gather(config_.labels, first, count));
    for (const std::string& target : config_.targets) batch.targets[target] = gather(target, first, count);
    return batch;
  }

 private:
  /// Samples that do not lie along the first axis come one by one: largest_batch is 1 then.
  Tensor gather(const std::string& name, int64_t first, int64_t count) const {
    const auto known = lies_.find(name);
    const Lie lie = known == lies_.end() ? Lie{} : known->second;
    Tensor out;
    for (const Part& part : parts_) {
      const int64_t take = std::min(count, part.samples - first);
      if (take > 0) {
        const Tensor& array = part.arrays.at(name);
        if (lie.shared) return array;
        if (lie.axis > 0) return rows(array, lie.axis, first, take);
        if (lie.whole)
          return rows(array, 0, first, 1).reshaped(Shape(array.shape().begin() + 1, array.shape().end()));
        out = stack(out, rows(array, 0, first, take));
        first = 0;
        count -= take;
      } else {
        first -= part.samples;
      }
      if (count == 0) break;
    }
    return out;
  }

  /// Normalisation applies to floats-to-be of rank 2 and more: axis 1 (NCHW) or the last (NHWC) is the
  /// channel.
  Tensor prepare(const Tensor& raw, const InputSpec& input) const {
    if (!config_.normalise || !is_float(input.dtype)) return raw;
    Tensor out = cast(raw, DType::f32).clone();
    const Normalisation normalise{config_.scale, config_.mean, config_.std};
    const bool planar = config_.layout == Layout::nchw;
    const int64_t channels = out.rank() < 2 ? 1 : planar ? out.dim(1) : out.dim(out.rank() - 1);
    int64_t inner = 1;
    if (planar)
      for (int64_t axis = 2; axis < out.rank(); ++axis) inner *= out.dim(axis);
    auto values = out.mutable_data<float>();
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = normalise(values[i], out.rank() < 2 ? 0 : static_cast<int64_t>(i) / inner % channels);
    return out;
  }

  Config config_;
  std::vector<InputSpec> inputs_;
  std::vector<Part> parts_;
  Lies lies_;
  int64_t size_ = 0;
};

Error bad_array(const std::string& file, const std::string& name, std::string expected, std::string got) {
  return {.code = Code::invalid_data,
          .subject = file + ": array '" + name + "'",
          .expected = std::move(expected),
          .got = std::move(got)};
}

Status check_input(const Tensor& tensor, const InputSpec& input, const Lie& lie, const std::string& file) {
  const bool kind_fits = is_float(input.dtype) || !is_float(tensor.dtype());
  if (!kind_fits) return bad_array(file, input.name, to_string(input.dtype), to_string(tensor.dtype()));
  Shape shape = tensor.shape();
  if (lie.whole) shape.erase(shape.begin());
  const bool along_first = !lie.whole && !lie.shared && lie.axis == 0;
  bool fits = (!along_first || !shape.empty()) && (!input.ranked || shape.size() == input.dims.size());
  for (size_t i = along_first ? 1 : 0; fits && input.ranked && i < input.dims.size(); ++i)
    fits = input.dims[i] < 0 || input.dims[i] == shape[i];
  if (!fits)
    return bad_array(file, input.name, "shape " + to_string(input.dims) + " with the samples first",
                     to_string(tensor.shape()));
  return {};
}

Result<Part> check_part(TensorMap arrays, const Config& config, const std::vector<InputSpec>& inputs,
                        const std::string& file) {
  std::vector<std::string> wanted;
  for (const InputSpec& input : inputs) wanted.push_back(input.name);
  if (!config.labels.empty()) wanted.push_back(config.labels);
  wanted.insert(wanted.end(), config.targets.begin(), config.targets.end());
  std::string present;
  for (const auto& [name, tensor] : arrays) present += (present.empty() ? "" : ", ") + name;
  Part part;
  part.file = fs::path(file).filename().string();
  for (const std::string& name : wanted) {
    const auto it = arrays.find(name);
    if (it == arrays.end())
      return bad_array(file, name, "to be there", "only " + (present.empty() ? "nothing" : present));
    part.arrays[name] = it->second;
  }
  part.samples = samples_in(part.arrays, inputs, wanted.front());
  Lies lies = lies_of(part, inputs);
  for (const std::string& name : wanted) {
    const Tensor& array = part.arrays.at(name);
    const Lie lie = lies[name];
    if (lie.shared || lie.axis > 0) continue;
    if (array.rank() == 0) return bad_array(file, name, "samples along the first axis", "a scalar");
    if (array.dim(0) != part.samples)
      return bad_array(file, name, fmt::format("{} samples as in the other arrays", part.samples),
                       fmt::format("{}", array.dim(0)));
  }
  for (const InputSpec& input : inputs)
    NARROW_DO(check_input(part.arrays.at(input.name), input, lies.at(input.name), file));
  if (!config.labels.empty()) {
    const Tensor& labels = part.arrays.at(config.labels);
    if (labels.rank() != 1 || is_float(labels.dtype()))
      return bad_array(file, config.labels, "one class index per sample",
                       fmt::format("{}{}", to_string(labels.dtype()), to_string(labels.shape())));
    for (const int64_t label : to_ints(labels))
      if (label < 0) return bad_array(file, config.labels, "class indices >= 0", fmt::format("{}", label));
  }
  return part;
}

/// Rows of all files are gathered into one tensor: they must be of one kind.
Status check_alike(const std::vector<Part>& parts, const std::vector<InputSpec>& inputs,
                   const std::string& path) {
  Lies lies = lies_of(parts[0], inputs);
  for (const Part& part : parts)
    for (const auto& [name, tensor] : part.arrays) {
      const Tensor& first = parts[0].arrays.at(name);
      Shape wanted = first.shape();
      if (const auto axis = static_cast<size_t>(lies[name].axis); !lies[name].shared && tensor.rank() > 0)
        wanted[axis] = tensor.dim(lies[name].axis);
      if (tensor.dtype() != first.dtype() || tensor.shape() != wanted)
        return bad_array(
            path, name, fmt::format("{}{} as in the first file", to_string(first.dtype()), to_string(wanted)),
            fmt::format("{}{}", to_string(tensor.dtype()), to_string(tensor.shape())));
    }
  return {};
}

/// mean and std name as many channels as every input they apply to has.
Status check_channels(const Config& config, const std::vector<InputSpec>& inputs, const Part& part,
                      const std::string& path) {
  if (!config.normalise) return {};
  for (const InputSpec& input : inputs) {
    const Tensor& tensor = part.arrays.at(input.name);
    if (!is_float(input.dtype) || tensor.rank() < 2) continue;
    NARROW_DO(check_normalisation(config, tensor.dim(config.layout == Layout::nchw ? 1 : tensor.rank() - 1),
                                  path + ": array '" + input.name + "'"));
  }
  return {};
}

Result<std::unique_ptr<Dataset>> assemble(const Config& config, const std::vector<InputSpec>& inputs,
                                          std::vector<Part> parts, const fs::path& path, std::string hash) {
  int64_t samples = 0, batch = std::max<int64_t>(batch_of_model(inputs), 0);
  for (const Part& part : parts) samples += part.samples;
  if (samples == 0)
    return Error{.code = Code::invalid_data,
                 .subject = path.string(),
                 .expected = "at least one sample",
                 .got = "none"};
  NARROW_DO(check_alike(parts, inputs, path.string()));
  for (const auto& [name, lie] : lies_of(parts[0], inputs))
    if (lie.axis > 0 || lie.whole || (lie.shared && parts.size() > 1)) batch = 1;
  NARROW_DO(check_channels(config, inputs, parts[0], path.string()));
  if (!config.next_token.empty() && std::none_of(inputs.begin(), inputs.end(), [&](const InputSpec& i) {
        return i.name == config.next_token;
      }))
    return Error{.code = Code::invalid_data,
                 .subject = path.string() + ": key 'next_token'",
                 .expected = "one of the model's inputs",
                 .got = "'" + config.next_token + "'"};
  DatasetInfo info{.path = path.string(),
                   .hash = std::move(hash),
                   .metric = config.metric,
                   .has_labels = !config.labels.empty(),
                   .targets = config.targets,
                   .next_token = config.next_token,
                   .largest_batch = batch,
                   .states = {}};
  return std::unique_ptr<Dataset>(
      std::make_unique<Tensors>(config, inputs, std::move(parts), std::move(info)));
}

}  // namespace

Result<std::unique_ptr<Dataset>> open_tensors(const Config& config, const fs::path& path,
                                              const std::vector<InputSpec>& inputs) {
  NARROW_TRY(const std::vector<fs::path> files, list_files(config));
  Hasher hasher;
  NARROW_TRY(const auto description, MappedFile::open(path));
  hasher.add(description->bytes());
  std::vector<Part> parts;
  for (const fs::path& file : files) {
    NARROW_TRY(const auto content, MappedFile::open(file));
    hasher.add(file.filename().string()).add(content->bytes());
    NARROW_TRY(TensorMap arrays, read_npz(file));
    NARROW_TRY(Part part, check_part(std::move(arrays), config, inputs, file.string()));
    parts.push_back(std::move(part));
  }
  return assemble(config, inputs, std::move(parts), path, hasher.hex());
}

Result<std::unique_ptr<Dataset>> open_arrays(TensorMap arrays, const fs::path& path,
                                             const std::vector<InputSpec>& inputs) {
  NARROW_TRY(const auto content, MappedFile::open(path));
  const std::string hash = hash_hex(content->bytes());
  NARROW_TRY(Part part, check_part(std::move(arrays), {}, inputs, path.string()));
  std::vector<Part> parts;
  parts.push_back(std::move(part));
  return assemble({}, inputs, std::move(parts), path, hash);
}

}  // namespace narrow::data
