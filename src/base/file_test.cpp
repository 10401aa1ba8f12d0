#include "base/file.h"

#include <gtest/gtest.h>

#include "base/test_folder.h"

namespace narrow {
namespace {
namespace fs = std::filesystem;

int64_t entries_of(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

TEST(MappedFile, ShowsTheBytesAndOutlivesTheName) {
  const TestFolder folder;
  const fs::path file = folder.write("a", std::string("x\0y", 3));
  auto mapped = MappedFile::open(file);
  ASSERT_TRUE(mapped.ok());
  const auto copy = *mapped;
  fs::remove(file);
  EXPECT_EQ(copy->text(), std::string_view("x\0y", 3));
  EXPECT_EQ(copy->bytes().size(), 3U);
}

TEST(MappedFile, EmptyMissingAndFolder) {
  const TestFolder folder;
  auto empty = MappedFile::open(folder.write("empty", ""));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE((*empty)->bytes().empty());
  EXPECT_EQ(MappedFile::open(folder / "missing").error().code, Code::not_found);
  EXPECT_EQ(MappedFile::open(folder.path()).error().code, Code::io);
}

TEST(WriteFile, ReplacesWholeAndLeavesNothingElse) {
  const TestFolder folder;
  const fs::path file = folder / "out";
  ASSERT_TRUE(write_file(file, "first, longer").ok());
  const auto old = MappedFile::open(file);
  ASSERT_TRUE(write_file(file, std::string("b\0c", 3)).ok());
  EXPECT_EQ(TestFolder::read(file), std::string("b\0c", 3));
  EXPECT_EQ((*old)->text(), "first, longer");  // who had it open keeps the old file
  EXPECT_EQ(entries_of(folder.path()), 1);
}

TEST(WriteFile, FailuresAreIoAndLeaveNothing) {
  const TestFolder folder;
  const Status no_parent = write_file(folder / "missing/out", "x");
  ASSERT_FALSE(no_parent.ok());
  EXPECT_EQ(no_parent.error().code, Code::io);
  fs::create_directory(folder / "taken");
  const Status onto_folder = write_file(folder / "taken", "x");
  ASSERT_FALSE(onto_folder.ok());
  EXPECT_EQ(onto_folder.error().code, Code::io);
  EXPECT_EQ(entries_of(folder.path()), 1);
}

TEST(WriteFile, FullDiskIsAnErrorAndKeepsTheOldFile) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  // The temporary name is taken by a link to the full device.
  const TestFolder folder;
  const fs::path file = folder.write("out", "old");
  fs::create_symlink("/dev/full", file.string() + "." + std::to_string(::getpid()) + ".tmp");
  const Status status = write_file(file, "new");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::io);
  EXPECT_EQ(TestFolder::read(file), "old");
}

TEST(StagedFolder, AppearsOnCommitOnly) {
  const TestFolder folder;
  const fs::path target = folder / "deep/er/out";
  auto staged = StagedFolder::create(target);
  ASSERT_TRUE(staged.ok());
  ASSERT_TRUE(write_file(staged->path() / "a", "1").ok());
  EXPECT_FALSE(fs::exists(target));
  ASSERT_TRUE(staged->commit().ok());
  EXPECT_EQ(TestFolder::read(target / "a"), "1");
  EXPECT_EQ(entries_of(target.parent_path()), 1);
}

TEST(StagedFolder, ReplacesAsAWholeAndCleansUpWhenDropped) {
  const TestFolder folder;
  const fs::path target = folder / "out";
  folder.write("out/stale", "1");
  {
    auto dropped = StagedFolder::create(target.string() + "/");  // a trailing slash names the same folder
    ASSERT_TRUE(dropped.ok());
    ASSERT_TRUE(write_file(dropped->path() / "fresh", "2").ok());
  }
  EXPECT_TRUE(fs::exists(target / "stale"));
  EXPECT_EQ(entries_of(folder.path()), 1);
  auto staged = StagedFolder::create(target);
  ASSERT_TRUE(staged.ok());
  StagedFolder moved = std::move(staged).value();
  ASSERT_TRUE(write_file(moved.path() / "fresh", "2").ok());
  ASSERT_TRUE(moved.commit().ok());
  EXPECT_FALSE(fs::exists(target / "stale"));
  EXPECT_TRUE(fs::exists(target / "fresh"));
  EXPECT_EQ(entries_of(folder.path()), 1);
}

TEST(StagedFolder, AFileInTheWayIsAnError) {
  const TestFolder folder;
  folder.write("file", "x");
  for (const char* target : {"file", "file/below"}) {
    const auto staged = StagedFolder::create(folder / target);
    ASSERT_FALSE(staged.ok());
    EXPECT_EQ(staged.error().code, Code::io);
  }
  EXPECT_EQ(TestFolder::read(folder / "file"), "x");
}

}  // namespace
}  // namespace narrow
