// What is logged while this lives, instead of on stderr. One at a time in a process.
#pragma once

#include <cstddef>
#include <memory>
#include <sstream>
#include <string>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

namespace sidecast::test {

class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_, true);
    sink->set_pattern("%l %v");
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", std::move(sink)));
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // Once the threads that log have ended.
  [[nodiscard]] std::string text() const { return lines_.str(); }
  [[nodiscard]] std::size_t lines_with(const std::string& what) const {
    std::istringstream all(text());
    std::size_t count = 0;
    for (std::string line; std::getline(all, line);) {
      if (line.find(what) != std::string::npos) ++count;
    }
    return count;
  }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream lines_;
};

}  // namespace sidecast::test
