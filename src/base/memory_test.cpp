#include "base/memory.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/aligned.h"

namespace narrow {
namespace {

TEST(Memory, TheLimitIsThatOfARealMachine) {
  EXPECT_GT(memory_limit_bytes(), int64_t{64} << 20);
  EXPECT_LT(memory_limit_bytes(), int64_t{1} << 50);
  EXPECT_TRUE(check_memory(memory_limit_bytes(), "x").ok());
  const Status more = check_memory(memory_limit_bytes() + 1, "Expand 'e'");
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, Code::unsupported);
  EXPECT_EQ(more.error().subject, "Expand 'e'");
}

/// The kernel would promise memory it does not have; a buffer beyond the machine is refused before.
TEST(Memory, BuffersBeyondTheMachineThrowBadAlloc) {
  EXPECT_THROW((void)AlignedBuffer(memory_limit_bytes() + 1), std::bad_alloc);
  EXPECT_THROW((void)AlignedBuffer(std::numeric_limits<int64_t>::max()), std::bad_alloc);
  EXPECT_THROW((void)AlignedBuffer::zeroed(int64_t{1} << 62), std::bad_alloc);
}

TEST(Memory, FailedAllocationsBecomeErrors) {
  EXPECT_FALSE(within_memory("x", []() -> Status { throw std::bad_alloc(); }).ok());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers end the process where operator new would throw";
#else
  const auto ask = [](size_t n) {
    return within_memory("model 'm'", [n]() -> Result<size_t> { return std::vector<char>(n).size(); });
  };
  EXPECT_EQ(*ask(10), 10U);
  for (const size_t n : {std::numeric_limits<size_t>::max() / 4, std::numeric_limits<size_t>::max()}) {
    const Result<size_t> result = ask(n);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().subject, "model 'm'");
  }
#endif
}

}  // namespace
}  // namespace narrow
