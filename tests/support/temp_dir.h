// A directory of a test's own in shared memory, gone with the object.
#pragma once

#include <filesystem>
#include <string>

#include <stdlib.h>

namespace sidecast::test {

class TempDir {
 public:
  TempDir() { make(); }
  ~TempDir() { remove(); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  // Another, empty one.
  void renew() {
    remove();
    make();
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  void make() {
    std::string pattern = "/dev/shm/sidecast-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  void remove() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path_;
};

}  // namespace sidecast::test
