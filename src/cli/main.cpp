// narrow: the command line. One file per subcommand; this one only hands over and turns errors into exit
// codes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "base/cpu.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/config_file.h"

int main(int argc, char** argv) {
  using namespace narrow::cli;
  CLI::App app{"narrow: the narrowest build of a model that still answers like the original", "narrow"};
  app.set_version_flag("--version", "narrow 0.1.0");
  app.require_subcommand(1);
  app.footer(
      "A first build:\n"
      "  narrow build model.onnx --calib calib.toml --eval eval.toml --gate 'top1.drop<=0.5pp' --out out/\n\n"
      "Exit codes: 0 done, every gate passed; 1 error; 2 wrong usage; 3 a gate failed; 4 a gate is "
      "inconclusive.");
  const std::vector<Command> commands = {
      add_build(app),  add_inspect(app), add_calibrate(app), add_quantize(app), add_run(app),
      add_verify(app), add_bench(app),   add_profile(app),   add_explain(app),  add_report(app),
      add_doctor(app), add_data(app),    add_debug(app)};
  if (const char* cap = std::getenv("NARROW_MAX_ISA"); cap != nullptr && !narrow::parse_isa(cap)) {
    std::fprintf(stderr,
                 "error: NARROW_MAX_ISA: expected plain, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16 "
                 "or amx, got '%s'\n",
                 narrow::printable(cap).c_str());
    return kUsage;
  }
  try {
    narrow::Result<std::vector<std::string>> arguments = expand_config({argv + 1, argv + argc});
    if (!arguments.ok()) return print_error(arguments.error());
    std::reverse(arguments->begin(), arguments->end());  // CLI11 takes them from the back
    app.parse(std::move(*arguments));
    for (const Command& command : commands) {
      if (!command.app->parsed()) continue;
      const narrow::Result<int> result = command.run();
      return result.ok() ? *result : print_error(result.error());
    }
  } catch (const CLI::ParseError& error) {
    const bool unknown = argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty();
    if (unknown)
      std::fprintf(stderr,
                   "error: command: expected one of build inspect calibrate quantize run verify bench "
                   "profile explain report doctor data debug, got '%s'\n",
                   narrow::printable(argv[1]).c_str());
    else if (app.exit(error) == 0)
      return kDone;
    return kUsage;
  } catch (const std::bad_alloc&) {
    std::fputs(
        "error: memory: expected enough for this model, got too little (use a smaller batch or model)\n",
        stderr);
    return kError;
  } catch (const std::exception& error) {  // of a library: a stream that broke, above all
    std::fprintf(stderr, "error: %s\n", narrow::printable(error.what()).c_str());
    return kError;
  }
  return kUsage;
}
