#include "parallel/topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "base/test_folder.h"

namespace narrow {
namespace {

using Shares = std::vector<std::vector<int>>;

void write_node(const TestFolder& folder, int node, const std::string& cpus) {
  folder.write("devices/system/node/node" + std::to_string(node) + "/cpulist", cpus + "\n");
}

void write_cpu(const TestFolder& folder, int cpu, const std::string& siblings) {
  folder.write("devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
               siblings + "\n");
}

/// Two nodes of two cores of two threads, numbered as Linux does: 0 1 | 2 3, their siblings 4 5 | 6 7.
void write_two_nodes(const TestFolder& folder) {
  write_node(folder, 0, "0-1,4-5");
  write_node(folder, 1, "2-3,6-7");
  folder.write("devices/system/node/online", "0-1\n");
  for (int cpu = 0; cpu < 8; ++cpu)
    write_cpu(folder, cpu, std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
}

TEST(ReadCores, NodeByNodeSiblingsTogether) {
  const TestFolder folder;
  write_two_nodes(folder);
  EXPECT_EQ(read_cores(folder.path(), {0, 1, 2, 3, 4, 5, 6, 7}),
            (std::vector<Core>{{0, 4}, {1, 5}, {2, 6}, {3, 7}}));
}

TEST(ReadCores, OnlyWhatIsAllowed) {
  const TestFolder folder;
  write_two_nodes(folder);
  EXPECT_EQ(read_cores(folder.path(), {1, 5, 6}), (std::vector<Core>{{1, 5}, {6}}));
}

TEST(ReadCores, NodesCountAsNumbersAndMayHaveMemoryOnly) {
  const TestFolder folder;
  write_node(folder, 10, "0");
  write_node(folder, 2, "1");
  write_node(folder, 3, "");
  write_cpu(folder, 0, "0");
  write_cpu(folder, 1, "1");
  EXPECT_EQ(read_cores(folder.path(), {0, 1}), (std::vector<Core>{{1}, {0}}));
}

TEST(ReadCores, NothingIsKnownOfWhatCannotBeRead) {
  const TestFolder nothing, no_siblings, no_node;
  EXPECT_TRUE(read_cores(nothing.path(), {0}).empty());
  write_node(no_siblings, 0, "0-1");
  EXPECT_TRUE(read_cores(no_siblings.path(), {0}).empty());
  write_node(no_node, 0, "0");
  write_cpu(no_node, 0, "0");
  EXPECT_TRUE(read_cores(no_node.path(), {0, 1}).empty());
  for (const char* text : {"x", "0-", "-1", "0,,1", "99999999999", "0-99999999", "1"}) {
    const TestFolder folder;
    write_node(folder, 0, text);
    write_cpu(folder, 0, "0");
    EXPECT_TRUE(read_cores(folder.path(), {0}).empty()) << text;
    write_node(folder, 0, "0");
    write_cpu(folder, 0, text);
    EXPECT_TRUE(read_cores(folder.path(), {0}).empty()) << text;
  }
}

const std::vector<Core> kPlain = {{0}, {1}, {2}, {3}};
const std::vector<Core> kDouble = {{0, 4}, {1, 5}, {2, 6}, {3, 7}};

TEST(ShareOut, ACoreForEveryThreadWhileThereAreEnough) {
  EXPECT_EQ(share_out(kPlain, 2, 2), (Shares{{0, 1}, {2, 3}}));
  EXPECT_EQ(share_out(kDouble, 2, 2), (Shares{{0, 1}, {2, 3}}));
  EXPECT_EQ(share_out(kDouble, 2, 1), (Shares{{0}, {1}}));
  EXPECT_EQ(share_out(kDouble, 1, 3), (Shares{{0, 1, 2}}));
}

TEST(ShareOut, WholeCoresForATeamThatNeedsSiblings) {
  EXPECT_EQ(share_out(kDouble, 1, 8), (Shares{{0, 1, 2, 3, 4, 5, 6, 7}}));
  EXPECT_EQ(share_out(kDouble, 2, 4), (Shares{{0, 1, 4, 5}, {2, 3, 6, 7}}));
  EXPECT_EQ(share_out(kDouble, 2, 3), (Shares{{0, 1, 4}, {2, 3, 6}}));
  EXPECT_EQ(share_out(kDouble, 3, 2), (Shares{{0, 4}, {1, 5}, {2, 3}}));
}

TEST(ShareOut, MoreTeamsThanCoresStillHaveProcessorsOfTheirOwn) {
  EXPECT_EQ(share_out({{0, 2}, {1, 3}}, 4, 1), (Shares{{0}, {2}, {1}, {3}}));
  EXPECT_EQ(share_out({{0, 2}, {1, 3}}, 3, 1), (Shares{{0}, {2}, {1}}));
}

TEST(ShareOut, PinsNothingWhereThatIsImpossible) {
  EXPECT_EQ(share_out({}, 2, 1), (Shares{{}, {}}));
  EXPECT_EQ(share_out({{0}, {1}}, 3, 1), (Shares{{}, {}, {}}));
  EXPECT_EQ(share_out({{0}, {1}}, 2, 5), (Shares{{0}, {1}}));  // more threads than processors: they share it
}

TEST(ShareOut, NoProcessorTwiceAndNoCoreOfTwoTeams) {
  for (int teams = 1; teams <= 4; ++teams)
    for (int threads = 1; threads <= 8; ++threads) {
      std::vector<int> owner(4, -1), seen(8, 0);
      const Shares shares = share_out(kDouble, teams, threads);
      ASSERT_EQ(std::ssize(shares), teams);
      for (int t = 0; t < teams; ++t)
        for (const int cpu : shares[static_cast<size_t>(t)]) {
          EXPECT_EQ(seen[static_cast<size_t>(cpu)]++, 0);
          int& owned = owner[static_cast<size_t>(cpu % 4)];
          EXPECT_TRUE(owned == -1 || owned == t) << teams << " teams of " << threads << ", cpu " << cpu;
          owned = t;
        }
    }
}

TEST(UsableCores, AreAllowedAndEachOnce) {
  const std::vector<int> allowed = allowed_cpus();
  if (usable_cores().empty()) GTEST_SKIP() << "/sys says nothing about cores here";
  std::vector<int> cpus;
  for (const Core& core : usable_cores()) cpus.insert(cpus.end(), core.begin(), core.end());
  std::sort(cpus.begin(), cpus.end());
  EXPECT_EQ(cpus, allowed);
}

TEST(PinThisThread, LeavesOneProcessor) {
  const std::vector<int> before = allowed_cpus();
  if (before.empty()) GTEST_SKIP() << "the system does not say which processors are allowed";
  std::thread([&] {
    EXPECT_FALSE(pin_this_thread(-1));
    EXPECT_FALSE(pin_this_thread(1 << 20));
    ASSERT_TRUE(pin_this_thread(before.back()));
    EXPECT_EQ(allowed_cpus(), std::vector<int>{before.back()});
  }).join();
  EXPECT_EQ(allowed_cpus(), before);
}

/// The system may send it back at once, but not every time.
TEST(LeaveCpu, GoesToAnotherProcessorAndMayGoAnywhere) {
  const std::vector<int> before = allowed_cpus();
  if (before.empty()) GTEST_SKIP() << "the system does not say which processors are allowed";
  std::thread([&] {
    int moved = 0;
    for (int i = 0; i < 100; ++i) {
      const int here = current_cpu();
      leave_cpu();
      if (current_cpu() != here) ++moved;
    }
    EXPECT_EQ(moved > 0, before.size() > 1);
    EXPECT_EQ(allowed_cpus(), before);
    ASSERT_TRUE(pin_this_thread(before.back()));
    leave_cpu();
    EXPECT_EQ(current_cpu(), before.back());
    EXPECT_EQ(allowed_cpus(), std::vector<int>{before.back()});
  }).join();
}

}  // namespace
}  // namespace narrow
