// A destination's filter rules, compiled. Pure; all workers share one.
//
// A field has no value, one, or several (a model asked for and served, the finish reason of each
// choice, the text of each part of each message). A rule holds when one of them fits; what says
// "not" holds when none does, so also when there is none. Text is compared byte by byte, letters'
// case included; an expression is searched for, not matched whole, in linear time.
#pragma once

#include <memory>
#include <vector>

#include "engine/config/filter_rules.h"
#include "engine/model/trace.h"

namespace re2 {
class RE2;
}

namespace sidecast {

class Filter {
 public:
  explicit Filter(const FilterRules& rules);

  [[nodiscard]] bool takes_all() const noexcept { return rules_.groups.empty(); }
  [[nodiscard]] bool takes(const Trace& trace) const;

 private:
  [[nodiscard]] bool holds(std::size_t group, const Trace& trace) const;
  [[nodiscard]] bool holds(const FilterRule& rule, const re2::RE2* expression,
                           const Trace& trace) const;

  FilterRules rules_;
  // Of each rule of each group; null where there is none.
  std::vector<std::vector<std::shared_ptr<const re2::RE2>>> expressions_;
};

}  // namespace sidecast
