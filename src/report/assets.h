// The files under assets/, embedded by cmake/NarrowAssets.cmake: what a report is made of besides its data.
#pragma once

#include <string_view>

namespace narrow::reports::assets {

/// The page with the places where the others go: {{style}} {{charts}} {{data}} {{script}}.
extern const std::string_view kPage;
extern const std::string_view kStyle;   // CSS
extern const std::string_view kScript;  // our JavaScript, its files one after the other
extern const std::string_view kCharts;  // Chart.js, minified

}  // namespace narrow::reports::assets
