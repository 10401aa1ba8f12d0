// tests/regressions: files that once crashed, hung, took all memory or printed what no terminal should see.
// Each is read by what reads such files; a file is a good one, or an error with a message of printable UTF-8.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/printable.h"
#include "calib/profile.h"
#include "data/config.h"
#include "data/image.h"
#include "data/npz.h"
#include "ir/schema.h"
#include "ir/text.h"
#include "runtime/session.h"

namespace narrow {
namespace {

namespace fs = std::filesystem;

Status read_graph_text(const fs::path& path) {
  NARROW_TRY(const auto file, MappedFile::open(path));
  NARROW_TRY(ir::Graph graph, ir::parse(file->text()));
  NARROW_DO(ir::verify(graph));
  return ir::infer_types(graph);
}

/// Opened, and run on zeros when its inputs say how many.
Status run_model(const fs::path& path) {
  NARROW_TRY(runtime::Session session, runtime::Session::open(path, std::make_shared<ThreadPool>(2)));
  TensorMap inputs;
  for (const ir::Port& input : session.interface().inputs) {
    Shape shape;
    for (const ir::Dim& dim : input.type.dims)
      shape.push_back(std::min<int64_t>(dim.known() ? dim.value : 1, 64));
    inputs[input.name] = Tensor::zeros(input.type.dtype, shape);
  }
  NARROW_DO(session.run(inputs));
  return {};
}

Status read_any(const fs::path& path) {
  const std::string kind = path.extension().string();
  if (kind == ".onnx" || kind == ".narrow") return run_model(path);
  if (kind == ".nir") return read_graph_text(path);
  if (kind == ".json") {
    NARROW_DO(calib::read_profile(path));
  } else if (kind == ".toml") {
    NARROW_DO(data::read_config(path));
  } else if (kind == ".npz") {
    NARROW_DO(data::read_npz(path));
  } else if (kind == ".npy") {
    NARROW_DO(data::read_npy(path));
  } else if (kind == ".jpg") {
    NARROW_DO(data::read_jpeg(path, data::Channels::rgb));
  } else {
    return Error{.subject = path.string(), .expected = "a kind of file this test knows", .got = kind};
  }
  return {};
}

TEST(Regressions, EveryFileIsReadOrRefused) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(NARROW_SOURCE_DIR) / "tests/regressions"))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  ASSERT_FALSE(files.empty());
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.string());
    const Status status = read_any(file);
    if (status.ok()) continue;
    EXPECT_NE(status.error().code, Code::internal) << status.error().message();
    EXPECT_FALSE(status.error().message().empty());
    EXPECT_EQ(status.error().message(), printable(status.error().message()));
  }
}

}  // namespace
}  // namespace narrow
