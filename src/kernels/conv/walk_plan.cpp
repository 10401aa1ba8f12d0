#include "kernels/conv/walk_plan.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/conv/walk_fetch.h"

namespace narrow::kernels {
namespace {

constexpr int64_t kEverything = std::numeric_limits<int64_t>::max() / 2;

/// Weights that stay in L2 are shared by tasks over pixels. Larger ones stream in from L3 or memory: then
/// each task takes some panels for all pixels, unless there are about as many bytes of pixels, which would
/// have to come from the core that wrote them. A block of pixels stays in L1 while the panels pass by, unless
/// the panels of a task would leave L2 before the next block wants them again.
///
/// Groups go together too: two threads that write neighbouring channels of a pixel fight for its cache line.
bool deals_weights(const ConvLayout& l, int64_t blocks, int threads, int64_t src_bytes) {
  constexpr int64_t kShared = 256 << 10;
  return threads > 1 && l.weight_bytes() > kShared && blocks < 16 * threads &&
         l.weight_bytes() > 2 * src_bytes;
}

/// Tasks to cut a product of `blocks` blocks of positions into. Each task costs some hundred cycles beside
/// its products, but cores are not equally fast all the time: what takes long gets several tasks a thread.
int64_t tasks_for(const ConvLayout& l, int64_t blocks, int threads, int64_t most_per_thread) {
  if (threads == 1) return 1;
  constexpr double kTaskCycles = 50'000, kCyclesPerSum = 0.4;
  const double products_per_cycle = l.tile.rows > 16 ? 840 : 128;  // of bytes: AMX, AVX-512
  const double cycles = static_cast<double>(blocks * l.tile.rows * l.columns()) *
                        (kCyclesPerSum + static_cast<double>(l.depth() * l.planes) / products_per_cycle);
  return threads * static_cast<int64_t>(std::clamp<double>(cycles / threads / kTaskCycles, 1,
                                                           static_cast<double>(most_per_thread)));
}

}  // namespace

ConvWalkPlan::Split ConvWalkPlan::split(const ConvLayout& l, int64_t blocks, bool weights, int64_t tasks) {
  constexpr int64_t kResident = 640 << 10;
  Split cut{1, l.groups, l.panels, false};
  if (weights) {
    cut.groups = div_up(l.groups, tasks);
    const int64_t per_group = div_up(tasks, l.groups);
    if (cut.groups == 1) cut.panels = div_up(l.panels, std::min(per_group, l.panels));
  } else {
    cut.block_tasks = std::clamp<int64_t>(blocks, 1, tasks);
  }
  cut.panels_outside = cut.panels * l.panel_bytes() > kResident;
  return cut;
}

ConvWalkPlan::ConvWalkPlan(const ConvShape& shape, const ConvLayout& layout, bool direct, int threads)
    : shape_(shape), layout_(layout), direct_(direct), threads_(threads) {
  walk_.segments = layout.segments;
  walk_.segment_bytes = layout.segment_bytes;
  walk_.step_bytes = layout.tile.depth;
  walk_.panel_bytes = layout.panel_bytes();
  walk_.group_bytes = layout.group_bytes;
  walk_.outputs = layout.outputs;
  walk_.panels = layout.panels;
  walk_.dst_pixel = shape.dst_pixel();
  if (direct)
    plan_direct(threads);
  else
    plan_image(threads);
  constexpr int64_t kStaysInL1 = 40 << 10;
  const int64_t block_bytes = (layout.tile.rows - 1) * walk_.a_stride + reach(offsets_);
  walk_.b_streams = !cut_.panels_outside && cut_.panels > 1 &&
                    block_bytes + layout.panel_bytes() > kStaysInL1 &&
                    cut_.panels * layout.panel_bytes() > kStaysInL1;
}

int64_t ConvWalkPlan::reach(const std::vector<int64_t>& offsets) const {
  return *std::max_element(offsets.begin(), offsets.end()) + (layout_.groups - 1) * layout_.group_bytes +
         layout_.segment_bytes;
}

/// The last pixels are read from a copy where the kernel would read beyond the source's end.
void ConvWalkPlan::plan_direct(int threads) {
  const int64_t rows = layout_.tile.rows, positions = shape_.n * shape_.h * shape_.w;
  const int64_t beyond = reach(offsets_) - shape_.c;
  walk_.a_stride = shape_.src_pixel();
  walk_.positions = walk_.pitch = walk_.ow = positions;
  walk_.rows = walk_.oh = 1;
  walk_.dense = true;
  walk_.readable = positions;
  walk_.tail_begin = kEverything;
  const int64_t blocks = div_up(positions, rows);
  cut_ = split(layout_, blocks,
               deals_weights(layout_, blocks, threads, shape_.n * shape_.h * shape_.w * shape_.c),
               tasks_for(layout_, blocks, threads, 4));
  if (beyond <= 0 && positions >= rows) return;
  const int64_t first_short =
      positions - div_up(std::max<int64_t>(beyond, 0), walk_.a_stride);  // first to read beyond
  walk_.tail_begin = std::max<int64_t>(0, first_short / rows * rows);
  if (positions < rows) walk_.tail_begin = 0;
  walk_.readable = kEverything;
  scratch_bytes_ = round_up(positions - walk_.tail_begin, rows) * walk_.a_stride + reach(offsets_);
}

void ConvWalkPlan::plan_image(int threads) {
  // Most of L2 is the weights'; where they are too large for it anyway, few copies read them few times.
  constexpr int64_t kCopyBytes = 256 << 10, kLargeCopyBytes = 768 << 10;
  image_ = conv_image(shape_, layout_.rows_per_segment);
  walk_.a_stride = image_.pixel_stride;
  walk_.pitch = image_.pitch;
  walk_.rows = image_.rows;
  walk_.oh = shape_.oh;
  walk_.ow = shape_.ow;
  walk_.readable = walk_.tail_begin = kEverything;
  const int64_t rows = std::max<int64_t>(1, image_.output_rows(shape_)),
                blocks = div_up(rows * image_.pitch, layout_.tile.rows);
  // Few tasks: each begins with a copy, of all pixels where weights are dealt.
  const bool weights = deals_weights(layout_, blocks, threads, shape_.n * shape_.h * shape_.w * shape_.c);
  cut_ = split(layout_, blocks, weights, weights ? threads : 1);
  row_tasks_ = weights ? 1 : std::min(rows, tasks_for(layout_, blocks, threads, 2));
  const int64_t row_bytes =
      layout_.planes * std::max<int64_t>(1, image_.copied_bytes(1) - image_.copied_bytes(0));
  rows_at_once_ = std::clamp<int64_t>((cut_.panels_outside ? kLargeCopyBytes : kCopyBytes) / row_bytes, 1,
                                      div_up(rows, row_tasks_));
  offsets_ = conv_image_offsets(shape_, layout_, image_, rows_at_once_);
  const int64_t last =
      round_up(rows_at_once_ * image_.pitch, layout_.tile.rows) * walk_.a_stride + reach(offsets_);
  copy_bytes_ = apart(std::max(last, image_.copied_bytes(rows_at_once_)));
  walk_.a_plane = copy_bytes_;
  scratch_bytes_ = row_tasks_ * group_tasks() * panel_tasks() * layout_.planes * copy_bytes_;
}

WeightStream ConvWalkPlan::stream(const void* b) const {
  return {static_cast<const std::byte*>(b), layout_.weight_bytes(), group_tasks() * panel_tasks() > 1};
}

ConvWalkPlan::Task ConvWalkPlan::task_of(const Run& run, int64_t index, int64_t part,
                                         int64_t positions) const {
  if (run.buffers.next.bytes == 0) return {part, {}};
  const int64_t tiles = div_up(positions, layout_.tile.rows) * cut_.panels * cut_.groups;
  return {part, conv_fetch(run.buffers.next, index, tasks(), threads_, tiles)};
}

/// Blocks of positions x the groups and panels of the task's part.
void ConvWalkPlan::multiply(const Run& run, const ConvWalk& walk, Task& task, int64_t block,
                            int64_t block_end) const {
  const int64_t panel = task.part % panel_tasks() * cut_.panels,
                group = task.part / panel_tasks() * cut_.groups;
  ConvFetch* const fetch = task.fetch.lines > 0 ? &task.fetch : nullptr;
  for (int64_t g = group; g < std::min(group + cut_.groups, layout_.groups); ++g)
    run.walker->multiply(run.buffers, walk,
                         {g, block, block_end, panel, std::min(panel + cut_.panels, layout_.panels),
                          cut_.panels_outside, fetch});
}

void ConvWalkPlan::run_direct(const Run& run, int64_t index) const {
  ConvWalk walk = walk_;
  walk.offsets = offsets_.data();
  walk.b = static_cast<const int8_t*>(run.b);
  walk.a = static_cast<const uint8_t*>(run.buffers.src);
  walk.tail = static_cast<const uint8_t*>(run.buffers.scratch);
  const int64_t blocks = div_up(walk.positions, layout_.tile.rows), tasks = cut_.block_tasks,
                part = index % tasks;
  Task task = task_of(run, index, index / tasks, div_up(walk.positions, tasks));
  multiply(run, walk, task, blocks * part / tasks, blocks * (part + 1) / tasks);
}

/// The outputs of some rows, as many at once as a copy holds.
void ConvWalkPlan::run_image(const Run& run, int64_t index) const {
  const int64_t rows = image_.output_rows(shape_), part = index % row_tasks_,
                end = rows * (part + 1) / row_tasks_;
  uint8_t* const copy = static_cast<uint8_t*>(run.buffers.scratch) + index * layout_.planes * copy_bytes_;
  ConvWalk walk = walk_;
  walk.offsets = offsets_.data();
  walk.b = static_cast<const int8_t*>(run.b);
  walk.a = copy;
  const int64_t begin = rows * part / row_tasks_;
  Task task = task_of(run, index, index / row_tasks_, (end - begin) * image_.pitch);
  for (int64_t row = begin; row < end; row += rows_at_once_) {
    const int64_t count = std::min(rows_at_once_, end - row);
    conv_image_copy(shape_, image_, row, count, rows_at_once_, copy, [&](int64_t n, int64_t y, uint8_t* to) {
      run.walker->copy_row(run.buffers.src, n, y, to);
    });
    walk.row_begin = row;
    walk.positions = (count - 1) * image_.pitch + shape_.ow;
    multiply(run, walk, task, 0, div_up(walk.positions, layout_.tile.rows));
  }
}

/// Between pixels that are apart nothing is read.
void ConvWalkPlan::copy_tail(const ConvBuffers& buffers) const {
  for (int64_t p = walk_.tail_begin; p < walk_.positions; ++p)
    std::memcpy(static_cast<uint8_t*>(buffers.scratch) + (p - walk_.tail_begin) * walk_.a_stride,
                static_cast<const uint8_t*>(buffers.src) + p * walk_.a_stride, static_cast<size_t>(shape_.c));
}

void ConvWalkPlan::run(const ConvWalker& walker, const ConvBuffers& buffers, const void* b,
                       ThreadPool& pool) const {
  if (shape_.n * shape_.oh * shape_.ow * shape_.oc == 0) return;
  const Run run{&walker, buffers, b};
  if (!direct_) {
    pool.run(tasks(), [this, run](int64_t index) { run_image(run, index); });
    return;
  }
  copy_tail(buffers);
  pool.run(tasks(), [this, run](int64_t index) { run_direct(run, index); });
}

}  // namespace narrow::kernels
