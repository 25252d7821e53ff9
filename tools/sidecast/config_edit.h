// Changes to a config's text that leave everything else in it as it stands: comments, order,
// layout. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/result.h"

namespace sidecast {

using Settings = std::vector<std::pair<std::string, std::string>>;

// The config with one more destination, the last of its list, its settings in this order. An Error
// says why it cannot be put in: the file is no YAML, or its list is written in [...].
[[nodiscard]] Result<std::string> add_destination_to(std::string_view config,
                                                     const Settings& settings);

// Every sealed value in the text, wherever it stands, replaced by what `reseal` makes of it. An
// Error of its is given the line.
using Reseal = std::function<Result<std::string>(std::string_view sealed)>;
struct Resealed {
  std::string text;
  std::size_t count = 0;
};
[[nodiscard]] Result<Resealed> reseal_all(std::string_view text, const Reseal& reseal);

}  // namespace sidecast
