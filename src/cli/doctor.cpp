#include <fmt/format.h>

#include "base/cpu.h"
#include "cli/command.h"
#include "cli/table.h"
#include "ir/schema.h"
#include "pipeline/peaks.h"
#include "runtime/kernel.h"

namespace narrow::cli {
namespace {

/// Every operator narrow reads or makes, with its kernels, best first.
Json operators() {
  Json list = Json::array();
  for (const ir::OpSchema& schema : ir::all_schemas()) {
    Json kernels = Json::array();
    for (const runtime::Implementation& kernel : runtime::implementations(schema.op)) {
      Json formats = Json::array();
      for (const std::string& format : CLI::detail::split(kernel.formats, ' ')) formats.push_back(format);
      kernels.push_back({{"name", kernel.name}, {"isa", to_string(kernel.isa)}, {"formats", formats}});
    }
    list.push_back({{"op", ir::to_string(schema.op)},
                    {"domain", schema.domain},
                    {"since", schema.since},
                    {"doc", schema.doc},
                    {"kernels", kernels}});
  }
  return list;
}

Result<int> list_operators(const Common& common) {
  const Json list = operators();
  std::vector<std::vector<std::string>> rows;
  for (const Json& op : list) {
    std::string kernels;
    for (const Json& kernel : op["kernels"])
      kernels += (kernels.empty() ? "" : ", ") + kernel["name"].get<std::string>();
    rows.push_back({op["op"].get<std::string>(), op["domain"].get<std::string>(),
                    std::to_string(op["since"].get<int>()), kernels});
  }
  print_text(common, table({"operator", "domain", "since", "kernels"}, rows, {false, false, true, false}));
  print_json(common, {{"operators", list}});
  return kDone;
}

Result<int> run(const Common& common) {
  const CpuFeatures& cpu = cpu_features();
  const Isa isa = usable_isa();
  const int threads = common.threads > 0 ? common.threads : cpu.cores;
  const pipeline::Peaks peaks = pipeline::measure_peaks(threads);
  struct FormatRow {
    const char* format;
    bool native;
    const char* how;
  };
  const FormatRow formats[] = {
      {"fp32", true, "native"},
      {"bf16", has_bf16_products(isa),
       isa >= Isa::amx          ? "native (AMX tiles)"
       : has_bf16_products(isa) ? "native (AVX512-BF16)"
                                : "emulated: widened to FP32 on load, saves memory, not time"},
      {"fp16", false,
       isa >= Isa::amx
           ? "as two bf16 parts, three products for one (AMX tiles): faster than FP32, FP32 sums"
           : "storage only: widened to FP32 on load with FP32 accumulation, saves memory, not time"},
      {"int8", isa >= Isa::avx512_vnni || runs_here(Isa::avx2_vnni),
       isa >= Isa::amx             ? "native (AMX tiles)"
       : isa >= Isa::avx512_vnni   ? "native (AVX-512 VNNI)"
       : runs_here(Isa::avx2_vnni) ? "native (AVX-VNNI)"
                                   : "emulated with 16-bit products"},
  };
  std::vector<std::vector<std::string>> rows;
  Json format_json = Json::object();
  for (const FormatRow& f : formats) {
    rows.push_back({f.format, f.native ? "yes" : "no", f.how});
    format_json[f.format] = {{"native", f.native}, {"how", f.how}};
  }
  std::string text = fmt::format(
      "processor  {}\ncores      {} usable, {} threads here\nISA        {} (best {}){}\ncaches     L1d {} "
      "KiB, L2 {} KiB, L3 {} MiB\nbandwidth  {:.0f} GB/s read (memory)\npeak       {:.0f} GFLOP/s FP32, "
      "{:.0f} BF16, {:.0f} GOP/s INT8\n\n",
      cpu.model, cpu.cores, threads, to_string(isa), to_string(cpu.best),
      isa != cpu.best ? ", capped by NARROW_MAX_ISA" : "", cpu.l1d_bytes >> 10, cpu.l2_bytes >> 10,
      cpu.l3_bytes >> 20, peaks.read_gb_s, peaks.fp32_gflops, peaks.bf16_gflops, peaks.int8_gops);
  print_text(common, text + table({"format", "native", "how it runs"}, rows, {false, false, false}));
  print_json(common, {{"processor", cpu.model},
                      {"cores", cpu.cores},
                      {"threads", threads},
                      {"isa", to_string(isa)},
                      {"best_isa", to_string(cpu.best)},
                      {"l1d_bytes", cpu.l1d_bytes},
                      {"l2_bytes", cpu.l2_bytes},
                      {"l3_bytes", cpu.l3_bytes},
                      {"read_gb_s", peaks.read_gb_s},
                      {"fp32_gflops", peaks.fp32_gflops},
                      {"bf16_gflops", peaks.bf16_gflops},
                      {"int8_gops", peaks.int8_gops},
                      {"formats", format_json}});
  return kDone;
}

}  // namespace

Command add_doctor(CLI::App& root) {
  auto common = std::make_shared<Common>();
  auto list = std::make_shared<bool>(false);
  CLI::App* app =
      root.add_subcommand("doctor", "this machine: ISA, cores, caches, bandwidth, peak, native formats");
  add_common(*app, *common);
  app->add_flag("--operators", *list, "the operators narrow knows, and the kernels of each, instead");
  return {app, [common, list] { return *list ? list_operators(*common) : run(*common); }};
}

}  // namespace narrow::cli
