#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace narrow {
namespace fs = std::filesystem;

namespace {

Error io_error(const fs::path& path, const char* expected, int error) {
  const Code code = error == ENOENT ? Code::not_found : Code::io;
  return Error{.code = code,
               .subject = path.string(),
               .expected = expected,
               .got = std::strerror(error),
               .hint = error == ENOENT   ? "check the path"
                       : error == ENOSPC ? "free some disk space"
                       : error == EACCES ? "check the permissions"
                                         : ""};
}

/// Writes everything, or says why not.
Status write_all(int fd, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error(path, "a file that can be written", errno);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return io_error(path, "a readable file", errno);
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return Error{.code = Code::io,
                 .subject = path.string(),
                 .expected = "a regular file",
                 .got = "something else (a folder?)"};
  }
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->size_ = static_cast<size_t>(info.st_size);
  if (file->size_ > 0) {
    void* memory = ::mmap(nullptr, file->size_, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    ::close(fd);
    if (memory == MAP_FAILED) return io_error(path, "a file that can be mapped", error);
    file->data_ = static_cast<const std::byte*>(memory);
  } else {
    ::close(fd);
  }
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Status write_file(const fs::path& path, std::string_view content) {
  const fs::path temporary = path.string() + fmt::format(".{}.tmp", ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    Error error = io_error(path, "a path that can be written", errno);
    error.code = Code::io;  // not_found is for what is read
    return error;
  }
  Status status = write_all(fd, content, path);
  if (::close(fd) != 0 && status.ok()) status = io_error(path, "a file that can be closed", errno);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = io_error(path, "a path that can be replaced", errno);
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

Result<StagedFolder> StagedFolder::create(const fs::path& target) {
  StagedFolder folder;
  std::error_code error;
  folder.target_ = fs::absolute(target, error).lexically_normal();
  if (!folder.target_.has_filename()) folder.target_ = folder.target_.parent_path();
  if (fs::exists(folder.target_, error) && !fs::is_directory(folder.target_, error))
    return Error{.code = Code::io,
                 .subject = target.string(),
                 .expected = "a folder or nothing",
                 .got = "a file",
                 .hint = "choose another --out"};
  fs::create_directories(folder.target_.parent_path(), error);
  if (error)
    return Error{.code = Code::io,
                 .subject = target.string(),
                 .expected = "a folder that can be made",
                 .got = error.message(),
                 .hint = "choose another --out"};
  const fs::path staging = folder.target_.parent_path() /
                           fmt::format(".{}.{}.staging", folder.target_.filename().string(), ::getpid());
  fs::remove_all(staging, error);
  if (!fs::create_directory(staging, error))
    return Error{.code = Code::io,
                 .subject = target.string(),
                 .expected = "a folder that can be written",
                 .got = error.message(),
                 .hint = "choose another --out"};
  folder.staging_ = staging;
  return folder;
}

StagedFolder::StagedFolder(StagedFolder&& other) noexcept
    : target_(std::move(other.target_)), staging_(std::exchange(other.staging_, {})) {}

StagedFolder::~StagedFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

Status StagedFolder::commit() {
  std::error_code error;
  const fs::path old = staging_.string() + ".old";
  const bool had_target = fs::exists(target_, error);
  if (had_target) fs::rename(target_, old, error);
  if (!error) {
    fs::rename(staging_, target_, error);
    if (error && had_target) {
      std::error_code ignored;
      fs::rename(old, target_, ignored);
    }
  }
  if (error)
    return Error{.code = Code::io,
                 .subject = target_.string(),
                 .expected = "a folder that can be replaced",
                 .got = error.message()};
  staging_.clear();
  fs::remove_all(old, error);
  return {};
}

}  // namespace narrow
