// What requests that do not travel by HTTP say of their place and its settings, shared by the
// destinations that write them and the channels that read them.
#pragma once

#include <string_view>

namespace sidecast {

// A file: this and its path. A body is appended as it is; an empty one only asks whether it could.
inline constexpr std::string_view kFileScheme = "file://";
// Headers of a request for a file.
inline constexpr std::string_view kFileRotateBytes = "x-rotate-bytes";      // 0 = never
inline constexpr std::string_view kFileRotateSeconds = "x-rotate-seconds";  // 0 = never
inline constexpr std::string_view kFileKeep = "x-keep";                     // 0 = all
inline constexpr std::string_view kFileCompression = "x-compression";       // none, gzip, zstd
inline constexpr std::string_view kFileSync = "x-sync";                     // batch, or never
inline constexpr std::string_view kFileLineStart = "x-line-start";          // how our lines begin

inline constexpr std::string_view kConsoleOutput = "console:stdout";
inline constexpr std::string_view kConsoleError = "console:stderr";

// A header of a channel's answer that is no success: what went wrong, in our own words.
inline constexpr std::string_view kChannelError = "x-channel-error";

}  // namespace sidecast
