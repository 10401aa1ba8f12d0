#include "data/config.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/file.h"
#include "data/toml_text.h"

namespace narrow::data {
namespace fs = std::filesystem;
namespace {

/// Typed access to the table that remembers the first thing wrong.
class Keys {
 public:
  Keys(const toml::table& table, std::string file) : table_(table), file_(std::move(file)) {}

  std::string text(const char* key, const std::string& fallback) {
    const toml::node* node = find(key);
    if (node == nullptr) return fallback;
    if (const auto value = node->value<std::string>(); node->is_string()) return *value;
    fail(key, "a string");
    return fallback;
  }
  double number(const char* key, double fallback) {
    const toml::node* node = find(key);
    if (node == nullptr) return fallback;
    if (node->is_number()) return *node->value<double>();
    fail(key, "a number");
    return fallback;
  }
  std::vector<float> numbers(const char* key) {
    std::vector<float> list;
    each(key, "a list of numbers", [&](const toml::node& node) {
      if (!node.is_number()) return false;
      list.push_back(static_cast<float>(*node.value<double>()));
      return true;
    });
    return list;
  }
  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> list;
    each(key, "a list of strings", [&](const toml::node& node) {
      if (!node.is_string()) return false;
      list.push_back(*node.value<std::string>());
      return true;
    });
    return list;
  }
  std::map<std::string, std::string> pairs(const char* key) {
    std::map<std::string, std::string> found;
    const toml::node* node = find(key);
    if (node == nullptr) return found;
    const toml::table* table = node->as_table();
    const char* expected = "a table of texts: states = { h = \"h_out\" }";
    if (table == nullptr) return fail(key, expected), found;
    for (const auto& [name, value] : *table) {
      const auto text = value.value<std::string>();
      if (!text) return fail(key, expected), found;
      found[std::string(name.str())] = *text;
    }
    return found;
  }
  bool has(const char* key) const { return table_.contains(key); }
  void fail(const char* key, const std::string& expected, const std::string& got = "something else") {
    if (!error_)
      error_ = Error{.code = Code::invalid_data,
                     .subject = fmt::format("{}: key '{}'", file_, key),
                     .expected = expected,
                     .got = got,
                     .hint = "see docs/data.md"};
  }
  Status finish() {
    if (error_) return *error_;
    for (const auto& [key, node] : table_)
      if (!known_.contains(std::string(key.str())))
        return Error{.code = Code::invalid_data,
                     .subject = fmt::format("{}: key '{}'", file_, key.str()),
                     .expected = "a known key",
                     .got = "an unknown one",
                     .hint = "see docs/data.md"};
    return {};
  }

 private:
  const toml::node* find(const char* key) {
    known_.insert(key);
    return table_.get(key);
  }
  template <class F>
  void each(const char* key, const char* expected, F&& take) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr) return fail(key, expected);
    for (const toml::node& element : *array)
      if (!take(element)) return fail(key, expected);
  }
  const toml::table& table_;
  std::string file_;
  std::set<std::string> known_;
  std::optional<Error> error_;
};

void read_size(Keys& keys, Config& config) {
  const std::vector<float> size = keys.numbers("size");
  if (size.empty()) return;
  constexpr float kMost = 65536, kMostPixels = 1 << 28;  // as many as a JPEG may have (image.h)
  const bool fits = size.size() == 2 && std::all_of(size.begin(), size.end(), [](float s) {
                      return s >= 1 && s <= kMost && s == std::floor(s);
                    });
  if (!fits || size[0] * size[1] > kMostPixels)
    return keys.fail("size", "[height, width], whole numbers of 1 to 65536, at most 2^28 pixels");
  config.height = static_cast<int64_t>(size[0]);
  config.width = static_cast<int64_t>(size[1]);
}

void read_normalisation(Keys& keys, Config& config) {
  config.normalise = keys.has("scale") || keys.has("mean") || keys.has("std");
  config.scale = static_cast<float>(keys.number("scale", 1));
  config.mean = keys.numbers("mean");
  config.std = keys.numbers("std");
  const auto finite = [](float v) { return std::isfinite(v); };
  if (!finite(config.scale)) keys.fail("scale", "a finite number");
  if (!std::all_of(config.mean.begin(), config.mean.end(), finite)) keys.fail("mean", "finite numbers");
  if (!std::all_of(config.std.begin(), config.std.end(), finite)) keys.fail("std", "finite numbers");
  if (std::any_of(config.std.begin(), config.std.end(), [](float s) { return s == 0; }))
    keys.fail("std", "no zeros", "a zero");
  if (!config.mean.empty() && !config.std.empty() && config.mean.size() != config.std.size())
    keys.fail("std", "as many entries as mean", fmt::format("{}", config.std.size()));
}

}  // namespace

Result<Config> read_config(const fs::path& path) {
  NARROW_TRY(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  NARROW_TRY(const toml::table table, parse_toml(file->text(), path.string()));
  Keys keys(table, path.string());
  Config config;
  config.kind = keys.text("kind", "");
  if (config.kind != "images" && config.kind != "tensors")
    keys.fail("kind", "\"images\" or \"tensors\"",
              config.kind == "text"
                  ? "\"text\", which needs a tokenizer: cut it into token windows (.npz) first"
                  : "\"" + config.kind + "\"");
  config.root = path.parent_path() / keys.text("root", ".");
  config.files = keys.text("files", config.kind == "images" ? "*.jpg" : "*.npz");
  read_size(keys, config);
  const std::string channels = keys.text("channels", "RGB"), layout = keys.text("layout", "NCHW");
  if (channels == "BGR")
    config.channels = Channels::bgr;
  else if (channels == "GRAY")
    config.channels = Channels::gray;
  else if (channels != "RGB")
    keys.fail("channels", "RGB, BGR or GRAY", channels);
  if (layout == "NHWC")
    config.layout = Layout::nhwc;
  else if (layout != "NCHW")
    keys.fail("layout", "NCHW or NHWC", layout);
  read_normalisation(keys, config);
  config.input = keys.text("input", "");
  config.labels = keys.text("labels", "");
  config.metric = keys.text("metric", "");
  config.next_token = keys.text("next_token", "");
  config.targets = keys.texts("targets");
  config.states = keys.pairs("states");
  NARROW_DO(keys.finish());
  return config;
}

Result<std::vector<fs::path>> list_files(const Config& config) {
  std::error_code error;
  std::vector<fs::path> files;
  if (!fs::is_directory(config.root, error))
    return Error{.code = Code::not_found,
                 .subject = config.root.string(),
                 .expected = "a folder (root of the dataset)",
                 .got = "nothing there"};
  for (fs::recursive_directory_iterator it(config.root, fs::directory_options::skip_permission_denied, error),
       end;
       it != end && !error; it.increment(error)) {
    const std::string relative = fs::relative(it->path(), config.root, error).string();
    if (it->is_regular_file(error) && ::fnmatch(config.files.c_str(), relative.c_str(), FNM_PATHNAME) == 0)
      files.push_back(it->path());
  }
  if (files.empty())
    return Error{.code = Code::invalid_data,
                 .subject = config.root.string(),
                 .expected = "files that match '" + config.files + "'",
                 .got = "none",
                 .hint = "check root and files in the dataset.toml"};
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace narrow::data
