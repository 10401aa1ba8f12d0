// JSON as narrow writes it: objects keep the order in which members were added.
#pragma once

#include <nlohmann/json.hpp>

namespace narrow {
using Json = nlohmann::ordered_json;
}
