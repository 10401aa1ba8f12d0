// For tests: zip archives and .npy members put together byte by byte from their specifications (APPNOTE.TXT,
// numpy.lib.format), independent of the writer in npz.cpp.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace narrow::data {

inline std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

/// `dict`: the header's text; `version` 1 has a 2-byte length, 2 and 3 a 4-byte one.
inline std::string npy(const std::string& dict, const std::string& payload, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  return out + little_endian(dict.size() + 1, version == 1 ? 2 : 4) + dict + "\n" + payload;
}

inline std::string npy_f4(const std::string& shape, const std::string& payload, bool fortran = false) {
  return npy(std::string("{'descr': '<f4', 'fortran_order': ") + (fortran ? "True" : "False") +
                 ", 'shape': " + shape + ", }",
             payload);
}

inline std::string deflated(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

struct ZipMember {
  int method = 0;  // 0 stored, 8 deflated
  bool zip64 = false;
  int64_t claimed = -1;  // uncompressed size to claim
  std::string comment = {};
};

class ZipMaker {
 public:
  ZipMaker& add(const std::string& name, const std::string& content, const ZipMember& how = {}) {
    const std::string packed = how.method == 8 ? deflated(content) : content;
    const uint64_t size = how.claimed >= 0 ? static_cast<uint64_t>(how.claimed) : content.size(),
                   offset = archive_.size();
    const uint64_t mark = 0xffffffffU;
    const std::string extra = how.zip64
                                  ? little_endian(1, 2) + little_endian(24, 2) + little_endian(size, 8) +
                                        little_endian(packed.size(), 8) + little_endian(offset, 8)
                                  : "";
    const std::string common = little_endian(20, 2) + little_endian(0, 2) +
                               little_endian(static_cast<uint64_t>(how.method), 2) + little_endian(0, 8) +
                               little_endian(how.zip64 ? mark : packed.size(), 4) +
                               little_endian(how.zip64 ? mark : size, 4) + little_endian(name.size(), 2) +
                               little_endian(extra.size(), 2);
    archive_ += "PK\x03\x04" + common + name + extra + packed;
    directory_ += "PK\x01\x02" + little_endian(20, 2) + common + little_endian(how.comment.size(), 2) +
                  little_endian(0, 8) + little_endian(how.zip64 ? mark : offset, 4) + name + extra +
                  how.comment;
    ++entries_;
    return *this;
  }
  /// With `zip64`, the number and place of entries stand only in the 64-bit record.
  std::string finish(bool zip64 = false, const std::string& comment = "") const {
    const uint64_t start = archive_.size();
    std::string out = archive_ + directory_;
    if (zip64) {
      const uint64_t at = out.size();
      out += "PK\x06\x06" + little_endian(44, 8) + little_endian(45, 2) + little_endian(45, 2) +
             little_endian(0, 8) + little_endian(entries_, 8) + little_endian(entries_, 8) +
             little_endian(directory_.size(), 8) + little_endian(start, 8);
      out += "PK\x06\x07" + little_endian(0, 4) + little_endian(at, 8) + little_endian(1, 4);
    }
    return out + "PK\x05\x06" + little_endian(0, 4) + little_endian(zip64 ? 0xffff : entries_, 2) +
           little_endian(zip64 ? 0xffff : entries_, 2) +
           little_endian(zip64 ? 0xffffffffU : directory_.size(), 4) +
           little_endian(zip64 ? 0xffffffffU : start, 4) + little_endian(comment.size(), 2) + comment;
  }

 private:
  std::string archive_, directory_;
  uint64_t entries_ = 0;
};

}  // namespace narrow::data
