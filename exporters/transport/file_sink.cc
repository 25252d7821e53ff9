#include "exporters/transport/file_sink.h"

#include <cerrno>
#include <charconv>

#include "exporters/transport/file_writer.h"

namespace sidecast {
namespace {

std::string_view setting(const Request& request, std::string_view name) {
  for (const Header& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

// The destination has checked them.
std::uint64_t number(const Request& request, std::string_view name) {
  const std::string_view text = setting(request, name);
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

RotationRules rules_of(const Request& request) {
  const std::string_view codec = setting(request, kFileCompression);
  return {.bytes_max = number(request, kFileRotateBytes),
          .age_max = std::chrono::seconds(number(request, kFileRotateSeconds)),
          .keep = number(request, kFileKeep),
          .compression = codec == "gzip"   ? Compression::kGzip
                         : codec == "zstd" ? Compression::kZstd
                                           : Compression::kNone,
          .sync = setting(request, kFileSync) == "batch"};
}

class FileSink final : public BlockingSink {
 public:
  explicit FileSink(std::string path) : writer_(std::move(path)) {}

  Response write(const Request& request, std::chrono::milliseconds /*timeout*/,
                 const std::atomic<bool>& /*stopping*/) override {
    const FileWriter::Failed failed =
        request.body_bytes() == 0 ? writer_.check()
                                  : writer_.append(request.body, setting(request, kFileLineStart),
                                                   rules_of(request), wall_now());
    if (failed) return channel_error(failed.error, failed.what);
    Response response;
    response.status = 200;
    return response;
  }
  void rest() override { writer_.close(); }

 private:
  FileWriter writer_;
};

}  // namespace

Response channel_error(int error, const std::string& what) {
  Response response;
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      response.status = 507;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      response.status = 403;
      break;
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case EBADF:
    case EPIPE:
      response.status = 404;
      break;
    default:
      response.status = 503;
      break;
  }
  response.headers.push_back({std::string(kChannelError), what});
  return response;
}

std::unique_ptr<BlockingSink> make_file_sink(const std::string& url) {
  return std::make_unique<FileSink>(url.substr(kFileScheme.size()));
}

}  // namespace sidecast
