// A fixed team of threads that is passed to whoever computes; nothing in narrow reaches for a global one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace narrow {

/// run() hands task indices 0..count-1 to the team; the caller works too. Each thread starts on its own
/// contiguous share, the same share of every job of that size, so what a layer wrote is still in the cache of
/// the core that reads it in the next; who is done takes from the end of another's share. Workers spin for a
/// bounded time after a job, then park, so an idle pool costs nothing. One run() at a time; calling run()
/// from inside a task runs it serially. What a task throws (memory ran out), run() throws: the first of them,
/// once no task runs any more; tasks not begun by then may be left out, and the pool is as before.
class ThreadPool {
 public:
  /// threads <= 0: one per core of this process. `cpus`: worker i stays on processor cpus[i % size]; cpus[0]
  /// is the caller's (pin_caller). Empty, or refused by the system: threads go where the system puts them.
  explicit ThreadPool(int threads = 0, std::vector<int> cpus = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  /// Keeps the calling thread, the one that is going to call run(), on its processor.
  void pin_caller() const;
  bool is_pinned() const { return !cpus_.empty(); }

  /// Calls task(index) once for every index in [0, count), on any thread, and returns when all are done.
  /// Tasks must not depend on which thread runs them: results are then the same for every thread count.
  template <class F>
  void run(int64_t count, F&& task) {
    if (count <= 0) return;
    if (count == 1 || workers_.empty()) {
      for (int64_t i = 0; i < count; ++i) task(i);
      return;
    }
    auto call = [](void* context, int64_t index) {
      (*static_cast<std::remove_reference_t<F>*>(context))(index);
    };
    run_job(count, call, const_cast<void*>(static_cast<const void*>(&task)));
  }

 private:
  using Call = void (*)(void* context, int64_t index);
  /// What a thread needs of a job, as one thread read it whole.
  struct Job {
    uint64_t tag;
    Call call;
    void* context;
    int64_t first, count;
  };
  /// The job as the caller publishes it: all in one cache line, which workers watch. `tag` is even while the
  /// rest belongs to it, odd while the caller changes it.
  struct alignas(64) Board {
    std::atomic<uint64_t> tag{0};
    std::atomic<Call> call{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<int64_t> first{0}, count{0};
  };
  /// One thread's share of a job: (tag, begin, end) in one word, so a late worker cannot take a task of
  /// another job. The owner takes from the front, others from the back. With the tag of an earlier job it
  /// stands for the whole of its share of this one, so the caller need not write into lines that others hold.
  struct alignas(64) Share {
    std::atomic<uint64_t> range{0};
  };
  /// What workers tell the caller.
  struct alignas(64) Report {
    std::atomic<int64_t> done{0};  // tasks that workers have done, of all jobs so far
    std::atomic<bool> caller_parked{false};
  };
  /// Seldom written.
  struct alignas(64) State {
    std::atomic<bool> stop{false};
    std::atomic<bool> failed{false};  // a task of this job threw; who set it writes exception_
    std::atomic<int> parked{0};       // workers; changed under mutex_
    std::atomic<int> caller_cpu{-1};  // when it last woke workers
  };
  void run_job(int64_t count, Call call, void* context);
  void run_shares(int64_t first, int64_t count, Call call, void* context);
  Job publish(int64_t first, int64_t count, Call call, void* context);
  Job await_job(uint64_t seen);
  void wait_for_workers(int64_t done);
  void work(int self);
  void report(int64_t tasks);
  bool take(const Job& job, int owner, bool own);
  uint64_t whole_share(const Job& job, int owner) const;
  void run_task(const Job& job, int64_t index);
  void keep_exception();
  std::exception_ptr take_exception();

  std::vector<int> cpus_;
  std::vector<std::thread> workers_;
  std::vector<Share> shares_;  // one per thread, the caller's first
  Board board_;
  Report report_;
  State state_;
  std::mutex mutex_;  // guards parking
  std::condition_variable wake_, finished_;
  std::atomic<bool> busy_{false};
  std::exception_ptr exception_;  // read by run() after the task was counted
};

/// Splits [0, n) into pieces of `grain` and calls body(begin, end) for each.
template <class F>
void parallel_for(ThreadPool& pool, int64_t n, int64_t grain, F&& body) {
  if (n <= 0) return;
  const int64_t pieces = (n + grain - 1) / grain;
  pool.run(pieces, [&](int64_t piece) {
    body(piece * grain, piece * grain + grain < n ? piece * grain + grain : n);
  });
}

}  // namespace narrow
