// A kernel that crashes takes the program with it: what ran is said in the signal handler, which may only
// call what is safe there, so the text lies ready in a static buffer.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "command.h"

namespace narrow::kernels_tool {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
char note[4096];
size_t note_bytes = 0;

extern "C" void say_note(int signal_number) {
  constexpr char kHead[] = "error: crashed in: ";
  if (note_bytes > 0 && write(STDERR_FILENO, kHead, sizeof kHead - 1) >= 0 &&
      write(STDERR_FILENO, note, note_bytes) >= 0)
    note_bytes = 0;
  signal(signal_number, SIG_DFL);  // it happens again when this returns, and ends the program
}

}  // namespace

void note_running(const std::string& line) {
  note_bytes = 0;
  const size_t bytes = std::min(line.size(), sizeof note - 1);
  std::memcpy(note, line.data(), bytes);
  note[bytes] = '\n';
  note_bytes = line.empty() ? 0 : bytes + 1;
}

void install_crash_note() {
  struct sigaction action = {};
  action.sa_handler = say_note;
  for (const int one : kSignals) sigaction(one, &action, nullptr);
}

}  // namespace narrow::kernels_tool
