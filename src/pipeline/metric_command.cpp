#include "pipeline/metric_command.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "data/npz.h"

namespace narrow::pipeline {

Status OutputCollector::append(const std::string& name, const Tensor& rows) {
  Tensor& above = arrays_[name];
  if (!above.defined() || rows.rank() == 0) {
    above = rows.clone();
    return {};
  }
  Shape shape = above.shape(), piece = rows.shape();
  const int64_t before = shape.empty() ? 0 : shape[0];
  if (!shape.empty()) shape[0] = piece[0];
  if (rows.dtype() != above.dtype() || piece != shape)
    return Error{.code = Code::invalid_argument,
                 .subject = "--metric-cmd: array '" + name + "'",
                 .expected = "rows of one shape in every batch, " + to_string(above.shape()),
                 .got = to_string(piece)};
  shape[0] = before + piece[0];
  Tensor all = Tensor::allocate(above.dtype(), shape);
  std::memcpy(all.mutable_raw(), above.raw(), static_cast<size_t>(above.bytes()));
  std::memcpy(static_cast<std::byte*>(all.mutable_raw()) + above.bytes(), rows.raw(),
              static_cast<size_t>(rows.bytes()));
  above = std::move(all);
  return {};
}

Status OutputCollector::add(const data::Batch& batch, const TensorMap& outputs) {
  for (const auto& [name, tensor] : outputs) NARROW_DO(append(name, tensor));
  for (const auto& [name, tensor] : batch.targets) NARROW_DO(append("target_" + name, tensor));
  if (!batch.labels.empty()) NARROW_DO(append("labels", Tensor::of(Shape{batch.count}, batch.labels)));
  return {};
}

Result<double> run_metric_command(const std::string& command, const TensorMap& arrays) {
  const auto bad = [&](std::string got) {
    return Error{.code = Code::invalid_argument,
                 .subject = "--metric-cmd '" + command + "'",
                 .expected = "a program that reads an .npz (its argument) and prints one number",
                 .got = std::move(got)};
  };
  std::error_code error;
  const std::filesystem::path file =
      std::filesystem::temp_directory_path(error) / fmt::format("narrow-outputs-{}.npz", ::getpid());
  NARROW_DO(data::write_npz(file, arrays));
  FILE* pipe = ::popen((command + " '" + file.string() + "'").c_str(), "r");
  std::string text;
  if (pipe != nullptr) {
    std::array<char, 4096> buffer{};
    while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) text += buffer.data();
  }
  const int status = pipe != nullptr ? ::pclose(pipe) : -1;
  std::filesystem::remove(file, error);
  if (status != 0)
    return bad(fmt::format("exit status {}", WIFEXITED(status) ? WEXITSTATUS(status) : status));
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  const std::string last =
      text.substr(text.find_last_of(" \t\n") == std::string::npos ? 0 : text.find_last_of(" \t\n") + 1);
  double value = 0;
  const auto [end, failure] = std::from_chars(last.data(), last.data() + last.size(), value);
  if (failure != std::errc() || end != last.data() + last.size()) return bad("'" + last.substr(0, 60) + "'");
  return value;
}

}  // namespace narrow::pipeline
