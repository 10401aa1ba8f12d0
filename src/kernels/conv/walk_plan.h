// How a product over output positions is dealt to threads, and where its positions lie.
//
// 1x1 convolutions read the source where it lies; others read a padded copy (walk_image.h). A task copies
// what it reads: a copy that threads share costs more, since its lines wander between their caches.
#pragma once

#include "kernels/conv/conv.h"
#include "kernels/conv/walk.h"
#include "kernels/conv/walk_image.h"
#include "kernels/conv/walk_layout.h"
#include "parallel/thread_pool.h"

namespace narrow::kernels {

/// What is done to rows and blocks; called from all threads.
class ConvWalker {
 public:
  /// Writes the image.row_bytes of a padded row at `to`, of source row y of image n; rows outside of images
  /// are padding. Not called where the walk reads the source itself.
  virtual void copy_row(const void* src, int64_t n, int64_t y, uint8_t* to) const = 0;
  virtual void multiply(const ConvBuffers& buffers, const ConvWalk& walk, const ConvRange& range) const = 0;

 protected:
  ~ConvWalker() = default;
};

class ConvWalkPlan {
 public:
  /// `shape` with c = bytes of a pixel as the walk reads it (of layout.rows_per_segment rows); `direct`: they
  /// are the source's own, and the shape is pointwise.
  ConvWalkPlan(const ConvShape& shape, const ConvLayout& layout, bool direct, int threads);

  int64_t scratch_bytes() const { return scratch_bytes_; }
  /// Lets `walker` multiply from the pool's threads, parts that cover all outputs once; `b` are the packed
  /// weights.
  void run(const ConvWalker& walker, const ConvBuffers& buffers, const void* b, ThreadPool& pool) const;
  const ConvImage& image() const { return image_; }
  /// The weights at `b` as tasks read them.
  WeightStream stream(const void* b) const;
  /// Where copy_row() writes the parts of split numbers: so far from each other.
  int64_t plane_bytes() const { return copy_bytes_; }

 private:
  void plan_direct(int threads);
  void plan_image(int threads);
  /// One run: all that a worker has to fetch from the core that began it.
  struct Run {
    const ConvWalker* walker;
    ConvBuffers buffers;
    const void* b;
  };
  /// A task's part of the weights and what it fetches meanwhile.
  struct Task {
    int64_t part;
    ConvFetch fetch;
  };
  void multiply(const Run& run, const ConvWalk& walk, Task& task, int64_t block, int64_t block_end) const;
  Task task_of(const Run& run, int64_t index, int64_t part, int64_t positions) const;
  int64_t tasks() const { return group_tasks() * panel_tasks() * (direct_ ? cut_.block_tasks : row_tasks_); }
  void copy_tail(const ConvBuffers& buffers) const;
  void run_direct(const Run& run, int64_t index) const;
  void run_image(const Run& run, int64_t index) const;
  int64_t group_tasks() const { return div_up(layout_.groups, cut_.groups); }
  int64_t panel_tasks() const { return div_up(layout_.panels, cut_.panels); }
  /// Bytes from a position's start that its last segment of the last group ends at.
  int64_t reach(const std::vector<int64_t>& offsets) const;

  /// How a product is cut into tasks: parts the blocks are dealt in; groups and panels per task, all panels
  /// of several groups or some of one.
  struct Split {
    int64_t block_tasks, groups, panels;
    bool panels_outside;
  };
  static Split split(const ConvLayout& l, int64_t blocks, bool weights, int64_t tasks);

  ConvShape shape_;
  ConvLayout layout_;
  bool direct_;
  ConvWalk walk_{};
  ConvImage image_;
  Split cut_{};
  // Of an image: tasks that deal its rows, rows of outputs a copy serves, its bytes (of one plane), its
  // segments' starts.
  int64_t row_tasks_ = 1, rows_at_once_ = 1, copy_bytes_ = 0;
  std::vector<int64_t> offsets_{0};
  int64_t scratch_bytes_ = 0;
  int threads_;
};

}  // namespace narrow::kernels
