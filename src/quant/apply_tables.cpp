#include "quant/apply_steps.h"
#include "quant/regions.h"
#include "quant/weights.h"

namespace narrow::quant {

void apply_tables(ir::Graph& graph, const Recipe& recipe) {
  for (Node* node : graph.nodes()) {
    const auto table = node->outputs().empty() ? recipe.tables.end() : recipe.tables.find(key_of(*node));
    if (table == recipe.tables.end()) continue;
    Value* rows = node->output();
    const Value* original = node->input(0);
    Value* codes = graph.add_constant(original->name + "_quantized",
                                      quantize_weights(original->constant(), table->second));
    Value* taken = graph
                       .add_node(Op::Gather, {codes, node->input(1)}, {rows->name + "_codes"},
                                 {{"axis", int64_t{0}}}, node->name)
                       ->output();
    Quantization columns = table->second;
    columns.axis = rows->type.rank() - 1;
    Value* real = add_dequantize(graph, taken, columns, DType::s8, rows->name);
    real->origin = rows->origin.empty() ? rows->name : rows->origin;
    real->origin_perm = rows->origin_perm;
    graph.replace_all_uses(rows, real);
  }
}

}  // namespace narrow::quant
