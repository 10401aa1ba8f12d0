// How often a run asks for memory, counted: operator new of this program and the aligned_alloc behind
// AlignedBuffer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>

#include "artifact/artifact.h"
#include "base/test_folder.h"
#include "runtime/reference/reference.h"
#include "runtime/test_graphs.h"

#include "api/inner.h"

namespace {
std::atomic<int64_t> g_allocations{0};

void* counted(size_t bytes, size_t alignment) {
  ++g_allocations;
  void* memory = nullptr;
  return posix_memalign(&memory, std::max(alignment, sizeof(void*)), bytes) == 0 ? memory : nullptr;
}
}  // namespace

void* operator new(size_t bytes) {
  if (void* memory = counted(bytes, 16)) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  if (void* memory = counted(bytes, static_cast<size_t>(alignment))) return memory;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, const std::nothrow_t& /*tag*/) noexcept { return counted(bytes, 16); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t /*bytes*/) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t /*bytes*/,
                                       std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
extern "C" void* aligned_alloc(size_t alignment, size_t bytes) noexcept { return counted(bytes, alignment); }

NARROW_BEGIN_NAMESPACE
namespace {

Tensor public_tensor(const inner::Tensor& tensor) {
  return *Tensor::view(lift(tensor.dtype()), tensor.shape(), tensor.raw())->clone();
}

class Allocation : public testing::TestWithParam<testing_graphs::GraphCase> {
 protected:
  void SetUp() override {
    graph_ = testing_graphs::graph_from(GetParam().text);
    const auto path = folder_.path() / "model.narrow";
    ASSERT_TRUE(
        artifact::write(path, {.graph = graph_.clone(), .about = {}, .packed = {}, .engine = {}}).ok());
    auto session = Session::open(path, {.threads = 2});
    ASSERT_TRUE(session.ok()) << session.error().message();
    session_.emplace(std::move(session).value());
  }
  Tensors inputs(uint64_t seed) const {
    Tensors tensors;
    for (const auto& [name, tensor] : testing_graphs::inputs_for(graph_, seed))
      tensors[name] = public_tensor(tensor);
    return tensors;
  }

  TestFolder folder_;
  ir::Graph graph_;
  std::optional<Session> session_;
};

/// Whatever the engine computes arrives: the same as inside, bit for bit, from the first run and from later
/// ones.
TEST_P(Allocation, AnswersAreTheEngines) {
  auto engine = inner::Session::create(graph_, std::make_shared<inner::ThreadPool>(2));
  ASSERT_TRUE(engine.ok());
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const auto wanted = engine->run(testing_graphs::inputs_for(graph_, seed));
    const auto got = session_->run(inputs(seed));
    ASSERT_TRUE(wanted.ok() && got.ok());
    ASSERT_EQ(got->size(), wanted->size());
    for (const auto& [name, tensor] : *got) {
      const inner::Tensor& same = wanted->at(name);
      EXPECT_EQ(tensor.shape(), same.shape());
      EXPECT_EQ(std::memcmp(tensor.raw(), same.raw(), static_cast<size_t>(same.bytes())), 0) << name;
    }
  }
}

/// Steps whose kernels ask for memory themselves: those of the plain backend.
bool asks_for_memory(const runtime::StepChoice& step) { return step.kernel == "reference"; }

TEST_P(Allocation, RepeatedRunsIntoBuffersMakeNoneButTheirKernels) {
  const Tensors first = inputs(1), second = inputs(2);
  auto outputs = session_->run(first);
  ASSERT_TRUE(outputs.ok()) << outputs.error().message();
  ASSERT_TRUE(session_->run_into(first, *outputs).ok());  // sizes the lists that later runs reuse
  const int64_t before = g_allocations.load();
  const bool ok = session_->run_into(second, *outputs).ok() && session_->run_into(first, *outputs).ok();
  const int64_t made = g_allocations.load() - before;
  EXPECT_TRUE(ok);
  auto engine = inner::Session::create(graph_, std::make_shared<inner::ThreadPool>(2));
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : first) shapes[name] = tensor.shape();
  const auto info = engine->plan_info(shapes);
  ASSERT_TRUE(info.ok());
  for (const runtime::StepChoice& step : info->steps)
    if (asks_for_memory(step)) GTEST_SKIP() << step.op << " by " << step.kernel << " made " << made;
  EXPECT_EQ(made, 0);
}

INSTANTIATE_TEST_SUITE_P(Float, Allocation, testing::ValuesIn(testing_graphs::float_graphs()),
                         [](const auto& c) { return c.param.name; });
INSTANTIATE_TEST_SUITE_P(Narrow, Allocation, testing::ValuesIn(testing_graphs::narrow_graphs()),
                         [](const auto& c) { return c.param.name; });

TEST(PublicTypes, AreNamedAsInTheEngine) {
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
    const auto type = static_cast<DType>(i);
    EXPECT_STREQ(to_string(type), inner::to_string(lower(type)));
  }
  EXPECT_STREQ(to_string(DType::bf16), "bf16");
  EXPECT_STREQ(to_string(DType::boolean), inner::to_string(inner::DType::boolean));
  EXPECT_EQ(dtype_of<int8_t>, DType::s8);
  EXPECT_STREQ(to_string(DType::u64), "u64");
  EXPECT_STREQ(to_string(Code::not_found), "not_found");
}

}  // namespace
NARROW_END_NAMESPACE
