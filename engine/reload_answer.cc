#include "engine/reload_answer.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>

#include <fmt/format.h>

#include "engine/base/json_writer.h"
#include "engine/config/file.h"

namespace sidecast {
namespace {

constexpr std::string_view kPrefix = "reload-";
constexpr std::string_view kRequest = ".request";
constexpr std::string_view kAnswer = ".answer";
constexpr std::size_t kRequestsMax = 64;
constexpr std::size_t kAnswerBytesMax = 16U << 20U;

std::string path_of(const EnginePaths& paths, const std::string& id, std::string_view what) {
  return fmt::format("{}/{}{}{}", paths.directory, kPrefix, id, what);
}

void remove_file(const std::string& path) {
  std::error_code gone_is_fine;
  std::filesystem::remove(path, gone_is_fine);
}

Status write_whole(const std::string& path, const std::string& text) {
  const std::string draft = path + ".new";
  std::ofstream file(draft, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(draft, path, error);
  if (file && !error) return {};
  remove_file(draft);
  return fail(fmt::format("write {}: {}", path, error ? error.message() : "no room or no right"));
}

}  // namespace

Result<std::string> ask_for_reload(const EnginePaths& paths) {
  std::random_device random;
  std::string id = fmt::format("{:08x}{:08x}", random(), random());
  if (Status written = write_whole(path_of(paths, id, kRequest), {}); !written) {
    return fail(std::move(written.error()));
  }
  return id;
}

std::string take_reload_answer(const EnginePaths& paths, const std::string& id) {
  const std::string path = path_of(paths, id, kAnswer);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return {};
  auto text = read_file(path, kAnswerBytesMax);
  remove_file(path);
  return text ? *std::move(text) : std::string();
}

void forget_reload(const EnginePaths& paths, const std::string& id) {
  remove_file(path_of(paths, id, kRequest));
  remove_file(path_of(paths, id, kAnswer));
}

std::vector<std::string> take_reload_requests(const EnginePaths& paths) {
  std::vector<std::string> ids;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(paths.directory, error)) {
    const std::string name = file.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kRequest)) continue;
    if (ids.size() == kRequestsMax) break;
    ids.push_back(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kRequest.size()));
  }
  for (const std::string& id : ids) remove_file(path_of(paths, id, kRequest));
  return ids;
}

std::string to_json(const ReloadAnswer& answer) {
  ByteBuffer buffer;
  JsonWriter json(buffer);
  const auto write_list = [&json](std::string_view key, const std::vector<std::string>& texts) {
    json.key(key).begin_array();
    for (const std::string& text : texts) json.string(text);
    json.end_array();
  };
  json.begin_object();
  json.key("reloaded").boolean(answer.errors.empty());
  json.key("config").string(answer.config);
  write_list("errors", answer.errors);
  for (std::size_t i = 0; i < kDestinationChanges.size(); ++i) {
    json.key(kDestinationChanges[i]).begin_array();
    for (const auto& change : answer.difference.destinations) {
      if (static_cast<std::size_t>(change.change) == i) json.string(change.name);
    }
    json.end_array();
  }
  write_list("tenant_errors", answer.tenant_errors);
  json.key("unchanged").unsigned_integer(answer.difference.unchanged);
  write_list("applied", answer.difference.applied);
  write_list("needs_restart", answer.difference.needs_restart);
  json.key("took_ms").number(answer.took_ms);
  json.end_object();
  return std::string(buffer.view());
}

Status write_reload_answer(const EnginePaths& paths, const std::string& id,
                           const std::string& json) {
  return write_whole(path_of(paths, id, kAnswer), json);
}

}  // namespace sidecast
