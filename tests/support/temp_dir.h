// A directory of a test's own in shared memory, gone with the object.
#pragma once

#include <filesystem>
#include <string>

#include <stdlib.h>

namespace sidecast::test {

class TempDir {
 public:
  TempDir() {
    std::string pattern = "/dev/shm/sidecast-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace sidecast::test
