// How `sidecast reload` and a running engine talk: by small files in the engine's own directory,
// which only the engine's user and root may write to.
//
//   reload-ID.request   made by the one who asks, who then sends SIGHUP; taken by the engine
//   reload-ID.answer    made by the engine, whole before it has its name; taken by the one who
//   asked
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/config/difference.h"
#include "engine/ledger/paths.h"

namespace sidecast {

struct ReloadAnswer {
  std::string config;                      // the file that was read
  std::vector<std::string> errors;         // not empty: nothing has changed
  std::vector<std::string> tenant_errors;  // files that are left as they were
  ConfigDifference difference;
  double took_ms = 0;
};

// Asks; the id names the answer.
[[nodiscard]] Result<std::string> ask_for_reload(const EnginePaths& paths);
// Takes the answer, one JSON object; empty: there is none yet.
[[nodiscard]] std::string take_reload_answer(const EnginePaths& paths, const std::string& id);
// Takes a question back that nobody answered.
void forget_reload(const EnginePaths& paths, const std::string& id);

// The engine's side. The ids of who asked, a bounded number at once; their requests are gone then.
[[nodiscard]] std::vector<std::string> take_reload_requests(const EnginePaths& paths);
[[nodiscard]] std::string to_json(const ReloadAnswer& answer);
[[nodiscard]] Status write_reload_answer(const EnginePaths& paths, const std::string& id,
                                         const std::string& json);

}  // namespace sidecast
