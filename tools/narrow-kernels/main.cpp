// narrow-kernels: checks and times any single kernel case. One file per subcommand.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/cpu.h"
#include "base/printable.h"
#include "command.h"

namespace {

using namespace narrow::kernels_tool;

int print_error(const narrow::Error& error) {
  fmt::print(stderr, "error: {}\n", error.message());
  return error.code == narrow::Code::usage ? kUsage : kError;
}

int run(const std::vector<Command>& commands) {
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
    const narrow::Result<int> result = command.run();
    return result.ok() ? *result : print_error(result.error());
  }
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"narrow-kernels: every kernel against its reference, on any case", "narrow-kernels"};
  app.require_subcommand(1);
  app.footer(
      "A case is a family and fields, those at their default left out (docs/kernels.md):\n"
      "  narrow-kernels check 'conv src=u8 weights=s8 dst=u8 h=14 w=14 c=64 oc=64 kernel=3x3 pad=1x1 "
      "bias'\n\n"
      "NARROW_MAX_ISA=plain|avx2|avx2_vnni|avx512|avx512_vnni|avx512_bf16|amx caps the kernels.\n"
      "Exit codes: 0 done, everything agrees; 1 error; 2 wrong usage; 3 a kernel differs from its "
      "reference.");
  const std::vector<Command> commands = {add_list(app), add_check(app), add_time(app), add_fuzz(app)};
  if (const char* cap = std::getenv("NARROW_MAX_ISA"); cap != nullptr && !narrow::parse_isa(cap)) {
    fmt::print(stderr,
               "error: NARROW_MAX_ISA: expected plain, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16 or "
               "amx, got '{}'\n",
               narrow::printable(cap));
    return kUsage;
  }
  install_crash_note();
  try {
    app.parse(argc, argv);
    return run(commands);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr,
               "error: memory: expected enough for this case, got too little (use smaller extents)\n");
    return kError;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", narrow::printable(error.what()));
    return kError;
  }
}
