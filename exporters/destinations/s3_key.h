// Names of S3 objects: a function of the record and the options, so that a retry writes the same
// object again instead of another one.
//
//   {prefix}/{date}                    /  {traceId}-{timestamp}-{generation}.json
//   the template, expanded                hex, epoch seconds of the start, 12 hex digits
//
// The last part is a hash of the generation id. Without it, two generations of one trace that start
// within a second would overwrite each other. An object of a whole batch has the same folder, by
// its first record, and the name {timestamp}-{records}.jsonl: a hash of its generation ids.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/model/batch.h"

namespace sidecast {

inline constexpr std::size_t kS3KeyBytesMax = 1024;  // of S3

class S3KeyTemplate {
 public:
  // Checks variables ({prefix} {date} {year} {month} {day} {hour} {apiKeyName}), characters and the
  // longest key that can come of it. An Error names the option.
  [[nodiscard]] static Result<S3KeyTemplate> parse(std::string_view path_template,
                                                   std::string_view prefix);

  // The whole key, not yet percent-encoded. Dates are UTC days of the record's start.
  [[nodiscard]] std::string key(const BatchRecord& record) const;
  // That of an object that holds them all; `suffix` names its form, e.g. ".jsonl.gz".
  [[nodiscard]] std::string batch_key(const std::vector<BatchRecord>& records,
                                      std::string_view suffix) const;
  // Records of several keys would have to share a folder.
  [[nodiscard]] bool names_api_key() const noexcept;
  [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }

 private:
  [[nodiscard]] std::string folder(const BatchRecord& record) const;
  enum class Variable { kNone, kDate, kYear, kMonth, kDay, kHour, kApiKeyName };
  struct Part {
    std::string literal;
    Variable variable = Variable::kNone;  // after the literal
  };
  std::string prefix_;
  std::vector<Part> parts_;
};

// One component of a key made of foreign text: letters, digits, - . _ stay, all else becomes _; it
// is cut to 128 bytes, never empty and never a dot path.
[[nodiscard]] std::string sanitised_key_part(std::string_view text);

}  // namespace sidecast
