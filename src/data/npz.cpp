#include "data/npz.h"

#include <fmt/format.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"

namespace narrow::data {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kEndOfDirectory = 0x06054b50, kEndOfDirectory64 = 0x06064b50, kLocator64 = 0x07064b50,
                   kDirectoryEntry = 0x02014b50, kLocalHeader = 0x04034b50;
// An inflated member may not be larger than this: far above real data, far below what would hang the machine.
constexpr uint64_t kMostBytes = uint64_t{64} << 30;

Error bad_archive(const fs::path& path, std::string got) {
  return {.code = Code::invalid_data,
          .subject = path.string(),
          .expected = "an .npz archive",
          .got = std::move(got),
          .hint = "write it again with numpy.savez"};
}

/// Little-endian reads that refuse to leave the span.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool holds(uint64_t at, uint64_t n) const { return at <= bytes_.size() && n <= bytes_.size() - at; }
  uint64_t get(uint64_t at, int n) const {
    uint64_t v = 0;
    if (!holds(at, static_cast<uint64_t>(n))) return 0;
    for (int i = n; i-- > 0;) v = v << 8 | std::to_integer<uint64_t>(bytes_[at + static_cast<uint64_t>(i)]);
    return v;
  }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

struct Directory {
  uint64_t offset = 0, entries = 0;
};

bool find_directory(const Reader& r, Directory& directory) {
  if (r.size() < 22) return false;
  const uint64_t lowest = r.size() > 65557 ? r.size() - 65557 : 0;
  for (uint64_t at = r.size() - 22;; --at) {
    if (r.get(at, 4) == kEndOfDirectory) {
      directory = {r.get(at + 16, 4), r.get(at + 10, 2)};
      if (at >= 20 && r.get(at - 20, 4) == kLocator64) {
        const uint64_t end = r.get(at - 12, 8);
        if (r.get(end, 4) == kEndOfDirectory64) directory = {r.get(end + 48, 8), r.get(end + 32, 8)};
      }
      return true;
    }
    if (at == lowest) return false;
  }
}

struct Member {
  std::string name;
  uint64_t method = 0, packed = 0, unpacked = 0, header = 0;
};

/// Sizes of 0xffffffff stand in the zip64 extra field, in this order.
void read_zip64(const Reader& r, uint64_t at, uint64_t length, Member& member) {
  for (const uint64_t end = at + length; at + 4 <= end;) {
    const uint64_t id = r.get(at, 2), size = r.get(at + 2, 2);
    uint64_t field = at + 4;
    if (id == 1)
      for (uint64_t* value : {&member.unpacked, &member.packed, &member.header})
        if (*value == 0xffffffffU) *value = r.get(field, 8), field += 8;
    at += 4 + size;
  }
}

Result<Tensor> read_member(std::span<const std::byte> bytes, const Member& m, const fs::path& path,
                           const std::shared_ptr<const void>& owner) {
  const Reader r(bytes);
  if (!r.holds(m.header, 30) || r.get(m.header, 4) != kLocalHeader)
    return bad_archive(path, "member '" + m.name + "' outside the file");
  const uint64_t start = m.header + 30 + r.get(m.header + 26, 2) + r.get(m.header + 28, 2);
  if (!r.holds(start, m.packed)) return bad_archive(path, "member '" + m.name + "' cut short");
  const std::span<const std::byte> packed = bytes.subspan(start, m.packed);
  if (m.method == 0) return parse_npy(packed, m.name, owner);
  if (m.method != 8) return bad_archive(path, fmt::format("compression method {} of '{}'", m.method, m.name));
  if (m.unpacked > kMostBytes || m.unpacked / 1100 > m.packed + 1)
    return bad_archive(path, fmt::format("'{}' claims {} bytes out of {}", m.name, m.unpacked, m.packed));
  auto buffer = std::make_shared<AlignedBuffer>(static_cast<int64_t>(m.unpacked));
  z_stream z{};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return bad_archive(path, "no memory to inflate");
  int status = Z_OK;
  uint64_t in = 0, out = 0;
  while (status == Z_OK) {
    constexpr uint64_t kPiece = uint64_t{1} << 30;
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data() + in));
    z.avail_in = static_cast<uInt>(std::min(kPiece, m.packed - in));
    z.next_out = reinterpret_cast<Bytef*>(buffer->data() + out);
    z.avail_out = static_cast<uInt>(std::min(kPiece, m.unpacked - out));
    const uint64_t in_before = z.avail_in, out_before = z.avail_out;
    status = inflate(&z, Z_NO_FLUSH);
    in += in_before - z.avail_in;
    out += out_before - z.avail_out;
  }
  inflateEnd(&z);
  if (status != Z_STREAM_END || out != m.unpacked)
    return bad_archive(path, "member '" + m.name + "' does not inflate");
  const std::span<const std::byte> unpacked(buffer->data(), m.unpacked);
  return parse_npy(unpacked, m.name, buffer);
}

}  // namespace

namespace {

Result<TensorMap> read_archive(const fs::path& path) {
  NARROW_TRY(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  const Reader r(file->bytes());
  Directory directory;
  if (!find_directory(r, directory)) return bad_archive(path, "no zip directory");
  TensorMap arrays;
  uint64_t inflated =
      0;  // members may share their packed bytes: each alone is small, all together need not be
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (!r.holds(at, 46) || r.get(at, 4) != kDirectoryEntry)
      return bad_archive(path, "a broken zip directory");
    const uint64_t name_length = r.get(at + 28, 2), extra_length = r.get(at + 30, 2),
                   comment_length = r.get(at + 32, 2);
    if (!r.holds(at + 46, name_length + extra_length)) return bad_archive(path, "a broken zip directory");
    Member m{.name = std::string(file->text().substr(at + 46, name_length)),
             .method = r.get(at + 10, 2),
             .packed = r.get(at + 20, 4),
             .unpacked = r.get(at + 24, 4),
             .header = r.get(at + 42, 4)};
    read_zip64(r, at + 46 + name_length, extra_length, m);
    if (m.name.ends_with(".npy")) m.name.resize(m.name.size() - 4);
    inflated += m.method == 0 ? 0 : std::min(m.unpacked, kMostBytes);
    if (inflated > static_cast<uint64_t>(memory_limit_bytes()))
      return bad_archive(path, "arrays that inflate to more than the machine's memory");
    NARROW_TRY(Tensor tensor, read_member(file->bytes(), m, path, file));
    arrays[m.name] = std::move(tensor);
    at += 46 + name_length + extra_length + comment_length;
  }
  return arrays;
}

}  // namespace

Result<TensorMap> read_npz(const fs::path& path) {
  return within_memory(path.string(), [&] { return read_archive(path); });
}

Result<Tensor> read_npy(const fs::path& path) {
  NARROW_TRY(const std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  return parse_npy(file->bytes(), path.filename().string(), file);
}

namespace {

void put(std::string& out, uint64_t value, int n) {
  for (int i = 0; i < n; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

const char* descr_of(DType type) {
  switch (type) {
    case DType::f32:
      return "<f4";
    case DType::f64:
      return "<f8";
    case DType::f16:
      return "<f2";
    case DType::s8:
      return "|i1";
    case DType::u8:
      return "|u1";
    case DType::s16:
      return "<i2";
    case DType::u16:
      return "<u2";
    case DType::s32:
      return "<i4";
    case DType::u32:
      return "<u4";
    case DType::s64:
      return "<i8";
    case DType::u64:
      return "<u8";
    case DType::boolean:
      return "|b1";
    default:
      return nullptr;
  }
}

/// The type an array of `type` is written in: NumPy's own, else the next wider one it has.
DType numpy_type(DType type) {
  if (type == DType::bf16 || is_narrow_float(type)) return DType::f32;
  if (type == DType::s4 || type == DType::s2) return DType::s8;
  if (type == DType::u4 || type == DType::u2) return DType::u8;
  return type;
}

std::string npy_header(const Tensor& t) {
  std::string dims;
  for (const int64_t d : t.shape()) dims += fmt::format("{}, ", d);
  if (t.rank() > 1)
    dims.resize(dims.size() - 2);
  else if (t.rank() == 1)
    dims.pop_back();
  std::string dict =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr_of(t.dtype()), dims);
  dict.resize(static_cast<size_t>(round_up(static_cast<int64_t>(dict.size()) + 11, 64)) - 11, ' ');
  std::string header = std::string("\x93NUMPY\x01\x00", 8);
  put(header, dict.size() + 1, 2);
  return header + dict + "\n";
}

}  // namespace

Status write_npz(const fs::path& path, const TensorMap& arrays) {
  std::string archive, directory;
  for (const auto& [name, original] : arrays) {
    if (!original.defined())
      return Error{.code = Code::invalid_argument,
                   .subject = path.string() + ": array '" + name + "'",
                   .expected = "a tensor",
                   .got = "none"};
    const Tensor tensor = cast(original, numpy_type(original.dtype()));
    const std::string header = npy_header(tensor), member = name + ".npy";
    const auto* payload = static_cast<const char*>(tensor.raw());
    const auto payload_bytes = static_cast<uint64_t>(tensor.bytes());
    const uint64_t size = header.size() + payload_bytes, offset = archive.size();
    if (offset + size + member.size() + 30 >= 0xffffffffU)
      return Error{.code = Code::unsupported,
                   .subject = path.string(),
                   .expected = "less than 4 GB of arrays",
                   .got = "more",
                   .hint = "run fewer samples at a time"};
    uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(header.data()), header.size());
    if (payload_bytes > 0) crc = crc32_z(crc, reinterpret_cast<const Bytef*>(payload), payload_bytes);
    std::string common;  // version, flags (UTF-8 name), stored, DOS time and date (1980-01-01), crc, sizes,
                         // name length, no extra
    put(common, 20, 2), put(common, 0x800, 2), put(common, 0, 2), put(common, 0, 2), put(common, 0x21, 2),
        put(common, crc, 4), put(common, size, 4), put(common, size, 4), put(common, member.size(), 2),
        put(common, 0, 2);
    put(archive, kLocalHeader, 4);
    archive += common + member + header;
    archive.append(payload, payload_bytes);
    put(directory, kDirectoryEntry, 4), put(directory, 20, 2);
    directory += common;
    put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 2), put(directory, 0, 4),
        put(directory, offset, 4);
    directory += member;
  }
  const uint64_t start = archive.size();
  archive += directory;
  put(archive, kEndOfDirectory, 4), put(archive, 0, 4), put(archive, arrays.size(), 2),
      put(archive, arrays.size(), 2), put(archive, directory.size(), 4), put(archive, start, 4),
      put(archive, 0, 2);
  return write_file(path, archive);
}

}  // namespace narrow::data
