// A group of batches at a time: first both operands are packed (b into panels; a only where its rows cannot
// be read as they lie), then blocks of rows x panels are computed. Both steps are split over the threads.
#include "kernels/matmul/matmul.h"

#include <algorithm>

#include "base/aligned.h"
#include "kernels/lanes/lanes.h"
#include "kernels/matmul/tile.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kGroupBytes = 1 << 20;  // packed at once when batches are small: what an L2 cache holds
constexpr int64_t kRowBlock = 48;  // rows that share a panel while it is in L1: a multiple of 6 and of 16

struct Packing {
  bool amx;
  int64_t depth;  // k as packed
  int64_t panel;  // columns of one
  int64_t panels;
  int64_t a_pitch;  // elements; 0 when a is read as it lies
  int64_t a_bytes, panel_bytes, batch_bytes;
  int64_t group;  // batches packed at once
};

Packing packing_of(const MatMulSpec& s, Isa isa, int threads) {
  Packing p{};
  p.amx = isa >= Isa::amx && s.a == DType::bf16 && s.b == DType::bf16;
  p.depth = p.amx ? round_up(s.k, kAmxDepth) : s.k;
  p.panel = p.amx ? kAmxPanel : kPanel;
  p.panels = div_up(s.n, p.panel);
  const bool direct = p.amx ? s.a_stride_k == 1 && s.k % kAmxDepth == 0 && s.m % 16 == 0
                            : s.a_stride_k == 1 && s.a == DType::f32;
  const int64_t element = p.amx ? 2 : 4;
  p.a_pitch = direct ? 0 : round_up(p.depth, 16);
  p.a_bytes = p.a_pitch * round_up(s.m, 16) * element;
  p.panel_bytes = p.depth * p.panel * element;
  p.batch_bytes = round_up(p.a_bytes + p.panels * p.panel_bytes, kCacheLine);
  const int64_t fitting = kGroupBytes / std::max<int64_t>(1, p.batch_bytes);
  p.group = std::min(s.batches(), std::max<int64_t>(threads, fitting));
  return p;
}

class Product {
 public:
  Product(const MatMulSpec& spec, const Packing& packing, const void* a, const void* b, void* c,
          void* scratch, Isa isa)
      : s_(spec),
        p_(packing),
        a_(static_cast<const uint8_t*>(a)),
        b_(static_cast<const uint8_t*>(b)),
        c_(static_cast<uint8_t*>(c)),
        scratch_(static_cast<uint8_t*>(scratch)),
        isa_(isa) {}

  void run_group(int64_t first, int64_t count, ThreadPool& pool) const {
    const int64_t blocks = div_up(s_.m, kRowBlock), a_blocks = p_.a_pitch > 0 ? blocks : 0,
                  packs = p_.panels + a_blocks;
    parallel_for(pool, count * packs, std::max<int64_t>(1, (32 << 10) / std::max<int64_t>(1, p_.panel_bytes)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t u = begin; u < end; ++u) {
                     if (u % packs < p_.panels)
                       pack_panel(first + u / packs, u / packs, u % packs);
                     else
                       pack_rows(first + u / packs, u / packs, (u % packs - p_.panels) * kRowBlock);
                   }
                 });
    const int64_t columns = div_up(s_.n, kPanel), block_macs = kPanel * s_.k * std::min(kRowBlock, s_.m);
    const int64_t grain = std::max<int64_t>(1, (256 << 10) / std::max<int64_t>(1, block_macs));
    parallel_for(pool, count * blocks * columns, grain, [&](int64_t begin, int64_t end) {
      if (p_.amx) amx_begin();
      for (int64_t u = begin; u < end; ++u) {
        const int64_t slot = u / (blocks * columns), row = u / columns % blocks * kRowBlock,
                      column = u % columns * kPanel;
        if (p_.amx)
          block_amx(first + slot, slot, row, column);
        else
          block_f32(first + slot, slot, row, column);
      }
      if (p_.amx) amx_end();
    });
  }

 private:
  int64_t offset(int64_t batch, const int64_t* strides) const {
    int64_t at = 0;
    for (int d = s_.batch_rank - 1; d >= 0; --d) {
      at += batch % s_.batch[d] * strides[d];
      batch /= s_.batch[d];
    }
    return at;
  }
  MatrixView a_view(int64_t batch) const {
    return {{s_.a, {}},   a_ + offset(batch, s_.a_batch_strides) * bytes_of(s_.a), s_.m, s_.k, s_.a_stride_m,
            s_.a_stride_k};
  }
  uint8_t* packed_a(int64_t slot) const { return scratch_ + slot * p_.batch_bytes; }
  uint8_t* packed_b(int64_t slot, int64_t panel) const {
    return packed_a(slot) + p_.a_bytes + panel * p_.panel_bytes;
  }

  void pack_panel(int64_t batch, int64_t slot, int64_t panel) const {
    const MatrixView b{{s_.b, {}},    b_ + offset(batch, s_.b_batch_strides) * bytes_of(s_.b),
                       s_.k,          s_.n,
                       s_.b_stride_k, s_.b_stride_n};
    if (p_.amx)
      pack_panel_bf16(b, panel * p_.panel, reinterpret_cast<uint16_t*>(packed_b(slot, panel)), isa_);
    else
      pack_panel_f32(b, panel * p_.panel, reinterpret_cast<float*>(packed_b(slot, panel)), isa_);
  }

  /// Rows beyond m, up to a multiple of 16, are computed but never stored: their contents do not matter.
  void pack_rows(int64_t batch, int64_t slot, int64_t row) const {
    const int64_t end = std::min(s_.m, row + kRowBlock);
    if (p_.amx)
      pack_rows_bf16(a_view(batch), row, end, reinterpret_cast<uint16_t*>(packed_a(slot)) + row * p_.a_pitch,
                     p_.a_pitch, isa_);
    else
      pack_rows_f32(a_view(batch), row, end, reinterpret_cast<float*>(packed_a(slot)) + row * p_.a_pitch,
                    p_.a_pitch, isa_);
  }

  /// Row `row` of a as the kernels read it, and the distance to the next.
  template <class T>
  const T* a_rows(int64_t batch, int64_t slot, int64_t row, int64_t* pitch) const {
    *pitch = p_.a_pitch > 0 ? p_.a_pitch : s_.a_stride_m;
    const void* base = p_.a_pitch > 0 ? packed_a(slot) : a_view(batch).data;
    return static_cast<const T*>(base) + row * *pitch;
  }

  void block_f32(int64_t batch, int64_t slot, int64_t row, int64_t column) const {
    alignas(64) float buffer[kTileRows * kPanel];
    const int64_t c0 = offset(batch, s_.c_batch_strides), columns = std::min(kPanel, s_.n - column);
    int64_t pitch = 0;
    const float* a = a_rows<float>(batch, slot, row, &pitch);
    for (int64_t i = 0; i < kRowBlock && row + i < s_.m; i += kTileRows) {
      const int64_t at = c0 + (row + i) * s_.c_stride_m + column;
      TileF32 tile{a + i * pitch,
                   pitch,
                   reinterpret_cast<const float*>(packed_b(slot, column / kPanel)),
                   s_.k,
                   buffer,
                   kPanel,
                   std::min(kTileRows, s_.m - row - i),
                   columns,
                   s_.alpha};
      if (s_.c == DType::f32) tile.c = reinterpret_cast<float*>(c_) + at, tile.c_row = s_.c_stride_m;
      tile_f32(tile, isa_);
      if (s_.c == DType::f32) continue;
      for (int64_t r = 0; r < tile.rows; ++r)
        store_run({s_.c, {}}, buffer + r * kPanel, c_, at + r * s_.c_stride_m, columns, isa_);
    }
  }

  void block_amx(int64_t batch, int64_t slot, int64_t row, int64_t column) const {
    alignas(64) float buffer[32 * 32];
    const int64_t c0 = offset(batch, s_.c_batch_strides), end = std::min(s_.n, column + kPanel);
    int64_t pitch = 0;
    const uint16_t* a = a_rows<uint16_t>(batch, slot, row, &pitch);
    for (int64_t i = 0; i < kRowBlock && row + i < s_.m; i += 32)
      for (int64_t j = column; j < end; j += 32) {
        const int64_t rows = std::min<int64_t>({32, kRowBlock - i, s_.m - row - i}),
                      columns = std::min<int64_t>(32, end - j);
        tile_bf16_amx({a + i * pitch, pitch, reinterpret_cast<const uint16_t*>(packed_b(slot, j / kAmxPanel)),
                       p_.depth, buffer, 32, rows > 16 ? 2 : 1, columns > 16 ? 2 : 1, p_.panel_bytes / 2});
        for (int64_t r = 0; r < rows; ++r) {
          float* line = buffer + r * 32;
          if (s_.alpha != 1.0F)
            for (int64_t x = 0; x < columns; ++x) line[x] *= s_.alpha;
          store_run({s_.c, {}}, line, c_, c0 + (row + i + r) * s_.c_stride_m + j, columns, isa_);
        }
      }
  }

  const MatMulSpec& s_;
  const Packing& p_;
  const uint8_t *a_, *b_;
  uint8_t *c_, *scratch_;
  Isa isa_;
};

}  // namespace

int64_t matmul_scratch_bytes(const MatMulSpec& spec, Isa isa, int threads) {
  const Packing p = packing_of(spec, isa, threads);
  return p.group * p.batch_bytes;
}

void matmul(const MatMulSpec& spec, const void* a, const void* b, void* c, void* scratch, Isa isa,
            ThreadPool& pool) {
  if (spec.batches() * spec.m * spec.n == 0) return;
  const Packing packing = packing_of(spec, isa, pool.threads());
  const Product product(spec, packing, a, b, c, scratch, isa);
  for (int64_t first = 0; first < spec.batches(); first += packing.group)
    product.run_group(first, std::min(packing.group, spec.batches() - first), pool);
}

}  // namespace narrow::kernels
