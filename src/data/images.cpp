// Photos: JPEG files below a root, decoded, resized and normalised as they are read.
#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <map>
#include <sstream>

#include "base/file.h"
#include "base/hash.h"
#include "data/dataset_kinds.h"

namespace narrow::data {
namespace fs = std::filesystem;
namespace {

class Images final : public Dataset {
 public:
  Images(Config config, InputSpec input, std::vector<fs::path> files, std::vector<int64_t> labels,
         DatasetInfo info)
      : config_(std::move(config)),
        input_(std::move(input)),
        files_(std::move(files)),
        labels_(std::move(labels)) {
    info_ = std::move(info);
  }
  int64_t size() const override {
    return whole_batches(static_cast<int64_t>(files_.size()), info_.largest_batch);
  }

  std::string sample_name(int64_t sample) const override {
    std::error_code ignored;
    const fs::path& file = files_.at(static_cast<size_t>(sample));
    return fs::relative(file, config_.root, ignored).string();
  }

  Result<Batch> read(int64_t first, int64_t count, ThreadPool& pool) const override {
    const int64_t channels = config_.channels == Channels::gray ? 1 : 3;
    const int64_t h = config_.height, w = config_.width;
    const Shape shape =
        config_.layout == Layout::nchw ? Shape{count, channels, h, w} : Shape{count, h, w, channels};
    Tensor pixels = Tensor::allocate(DType::f32, shape);
    float* const out = pixels.mutable_data<float>().data();
    std::vector<Status> status(static_cast<size_t>(count));
    pool.run(count, [&](int64_t i) {
      status[static_cast<size_t>(i)] =
          load(files_[static_cast<size_t>(first + i)], out + i * channels * h * w);
    });
    for (Status& s : status) NARROW_DO(std::move(s));
    Batch batch{.count = count, .inputs = {}, .labels = {}, .targets = {}};
    batch.inputs[input_.name] = cast(pixels, input_.dtype);
    if (!labels_.empty()) batch.labels.assign(labels_.begin() + first, labels_.begin() + first + count);
    return batch;
  }

 private:
  Status load(const fs::path& file, float* out) const {
    NARROW_TRY(const Image decoded, read_jpeg(file, config_.channels));
    const Image image = resize(decoded, config_.height, config_.width);
    const Normalisation normalise{config_.scale, config_.mean, config_.std};
    const int64_t pixels = image.height * image.width, channels = image.channels;
    const bool planar = config_.layout == Layout::nchw;
    for (int64_t c = 0; c < channels; ++c) {
      float table[256];
      for (int v = 0; v < 256; ++v) table[v] = normalise(static_cast<float>(v), c);
      float* dst = planar ? out + c * pixels : out + c;
      const int64_t step = planar ? 1 : channels;
      for (int64_t p = 0; p < pixels; ++p)
        dst[p * step] = table[image.pixels[static_cast<size_t>(p * channels + c)]];
    }
    return {};
  }

  Config config_;
  InputSpec input_;
  std::vector<fs::path> files_;
  std::vector<int64_t> labels_;
};

/// file name <tab> class index, more columns ignored; the first line may be a header.
Result<std::map<std::string, int64_t>> read_labels(const fs::path& path) {
  NARROW_TRY(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  std::map<std::string, int64_t> labels;
  std::istringstream lines{std::string(file->text())};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const size_t tab = line.find('\t');
    const std::string index =
        tab == std::string::npos ? "" : line.substr(tab + 1, line.find('\t', tab + 1) - tab - 1);
    int64_t label = -1;
    const auto [end, error] = std::from_chars(index.data(), index.data() + index.size(), label);
    if (error == std::errc() && end == index.data() + index.size() && label >= 0)
      labels[line.substr(0, tab)] = label;
    else if (number > 1)
      return Error{.code = Code::invalid_data,
                   .subject = fmt::format("{}:{}", path.string(), number),
                   .expected = "file name <tab> class index >= 0",
                   .got = "'" + line.substr(0, 60) + "'"};
  }
  return labels;
}

Result<std::vector<int64_t>> labels_for(const Config& config, const std::vector<fs::path>& files) {
  std::vector<int64_t> labels;
  if (config.labels.empty()) return labels;
  NARROW_TRY(const auto known, read_labels(config.root / config.labels));
  for (const fs::path& file : files) {
    std::error_code ignored;
    auto it = known.find(file.filename().string());
    if (it == known.end()) it = known.find(fs::relative(file, config.root, ignored).string());
    if (it == known.end())
      return Error{.code = Code::invalid_data,
                   .subject = (config.root / config.labels).string(),
                   .expected = "a label for " + file.filename().string(),
                   .got = "none",
                   .hint = "add the line or remove the file"};
    labels.push_back(it->second);
  }
  return labels;
}

Status check_shape(const Config& config, const InputSpec& input, const std::string& subject) {
  const int64_t channels = config.channels == Channels::gray ? 1 : 3;
  const Shape mine = config.layout == Layout::nchw ? Shape{-1, channels, config.height, config.width}
                                                   : Shape{-1, config.height, config.width, channels};
  bool fits = !input.ranked || input.dims.size() == 4;
  for (size_t i = 1; fits && input.ranked && i < 4; ++i) fits = input.dims[i] < 0 || input.dims[i] == mine[i];
  if (fits) return {};
  return Error{
      .code = Code::invalid_data,
      .subject = subject,
      .expected = fmt::format("images for input '{}' of shape {}", input.name, to_string(input.dims)),
      .got = to_string(mine),
      .hint = "set size, channels or layout"};
}

Result<std::string> hash_files(const fs::path& description, const Config& config,
                               const std::vector<fs::path>& files) {
  Hasher hasher;
  NARROW_TRY(const auto text, MappedFile::open(description));
  hasher.add(text->bytes());
  if (!config.labels.empty()) {
    NARROW_TRY(const auto labels, MappedFile::open(config.root / config.labels));
    hasher.add(labels->bytes());
  }
  for (const fs::path& file : files) {
    NARROW_TRY(const auto content, MappedFile::open(file));
    hasher.add(file.filename().string()).add(content->bytes());
  }
  return hasher.hex();
}

}  // namespace

Result<std::unique_ptr<Dataset>> open_images(const Config& given, const fs::path& path,
                                             const std::vector<InputSpec>& inputs) {
  Config config = given;
  NARROW_TRY(InputSpec input, only_input(config, inputs, path.string()));
  if (config.height == 0) {
    const size_t h = config.layout == Layout::nchw ? 2 : 1;
    if (input.dims.size() == 4 && input.dims[h] > 0 && input.dims[h + 1] > 0)
      config.height = input.dims[h], config.width = input.dims[h + 1];
    else
      return Error{.code = Code::invalid_data,
                   .subject = path.string() + ": key 'size'",
                   .expected = "[height, width]: the model does not fix it",
                   .got = "no such key"};
  }
  NARROW_DO(check_shape(config, input, path.string()));
  NARROW_DO(check_normalisation(config, config.channels == Channels::gray ? 1 : 3, path.string()));
  NARROW_TRY(std::vector<fs::path> files, list_files(config));
  NARROW_TRY(std::vector<int64_t> labels, labels_for(config, files));
  NARROW_TRY(const std::string hash, hash_files(path, config, files));
  DatasetInfo info{.path = path.string(),
                   .hash = hash,
                   .metric = config.metric,
                   .has_labels = !labels.empty(),
                   .targets = {},
                   .next_token = {},
                   .largest_batch = fixed_batch(input),
                   .states = {},
                   .pixels = PixelFormat{.channels = name_of(config.channels),
                                         .scale = static_cast<double>(config.scale),
                                         .mean = config.mean,
                                         .std = config.std}};
  return std::unique_ptr<Dataset>(std::make_unique<Images>(config, std::move(input), std::move(files),
                                                           std::move(labels), std::move(info)));
}

}  // namespace narrow::data
