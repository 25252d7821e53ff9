// Recorded exchanges with LLM providers, as much of each as a gateway hands to the writer. All are
// kept in memory, in one arena without their JSON envelope; forked players share its pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/arena.h"
#include "engine/base/result.h"

namespace sidecast::replay {

// Views live as long as the Exchanges. Absent = empty or 0.
struct Exchange {
  std::string_view id;
  std::string_view session;
  std::string_view provider;
  std::string_view operation;
  std::string_view model;  // the model asked for, from the body or the path
  std::string_view url_path;
  std::string_view request;   // the recorded JSON text, byte for byte
  std::string_view response;  // JSON text, or the raw stream as it went over the wire
  std::int32_t http_status = 0;
  bool is_stream = false;
  double duration_ms = 0;  // 0 = not recorded
  std::int64_t output_tokens = 0;
};

class Exchanges {
 public:
  // Reads JSON Lines files, plain or gzip, one after the other until `limit` exchanges were found.
  // An Error names file and line.
  [[nodiscard]] static Result<Exchanges> load(
      const std::vector<std::string>& paths,
      std::size_t limit = std::numeric_limits<std::size_t>::max());

  [[nodiscard]] std::size_t size() const noexcept { return exchanges_.size(); }
  [[nodiscard]] const Exchange& operator[](std::size_t index) const { return exchanges_[index]; }

 private:
  Exchanges() : arena_(std::make_unique<Arena>()) {}
  Status load_file(const std::string& path, std::size_t limit);

  std::unique_ptr<Arena> arena_;  // owns what the views of exchanges_ show
  std::vector<Exchange> exchanges_;
};

}  // namespace sidecast::replay
