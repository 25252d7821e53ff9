#include "bench/pipeline/payload.h"

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <zlib.h>

#include "engine/base/json_writer.h"
#include "engine/base/utf8.h"

namespace sidecast::bench {
namespace {

constexpr std::size_t kCorpusBytes = 8U << 20U;

std::string own_text() {
  // Compresses far better than real text: figures made with it are not comparable.
  std::fprintf(stderr,
               "payload: no corpus found; a text of our own is used, do not quote figures\n");
  std::string text;
  for (unsigned i = 0; text.size() < kCorpusBytes; ++i) {
    text += fmt::format("Paragraph {}: the quick brown fox number {} jumps over {} lazy dogs.\n", i,
                        i * 2'654'435'761U % 9973, i * 40'503U % 997);
  }
  return text;
}

std::string read_corpus() {
  const char* const data = std::getenv("SIDECAST_DATA");  // NOLINT(concurrency-mt-unsafe)
  const std::string path =
      std::string(data != nullptr ? data : SIDECAST_SOURCE_DIR "/../shared/data") +
      "/corpus.txt.gz";
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) return own_text();
  std::string text(kCorpusBytes, '\0');
  const int read = gzread(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  if (read <= 0) return own_text();
  text.resize(static_cast<std::size_t>(read));
  for (char& byte : text) {
    if (byte == '\x1e') byte = '\n';  // the corpus's own record marks
  }
  return text;
}

// Takes text piece by piece, whole characters only.
class TextSource {
 public:
  TextSource() : text_(read_corpus()) {}
  Text take(std::size_t bytes) {
    if (at_ + bytes + 8 > text_.size()) at_ = 0;
    while ((static_cast<unsigned char>(text_[at_]) & 0xC0U) == 0x80U) ++at_;
    const Text piece = utf8_prefix(Text(text_).substr(at_, bytes + 4), bytes);
    at_ += piece.size();
    return piece;
  }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<Exchange> make_exchanges(std::size_t count, std::size_t message_bytes) {
  TextSource source;
  std::vector<Exchange> exchanges;
  ByteBuffer out;
  for (std::size_t i = 0; i < count; ++i) {
    Exchange exchange;
    out.clear();
    JsonWriter request(out);
    request.begin_object().key("model").string("openai/gpt-4o-mini");
    request.key("temperature").number(0.7).key("max_tokens").integer(1024).key("top_p").number(0.9);
    request.key("seed").integer(7).key("user").string("user-42").key("messages").begin_array();
    const auto message = [&](Text role, std::size_t share) {
      request.begin_object().key("role").string(role).key("content").string(source.take(share));
      request.end_object();
    };
    // A short conversation; the answer is a quarter of the text.
    message("system", message_bytes / 8);
    message("user", message_bytes / 4);
    message("assistant", message_bytes / 8);
    message("user", message_bytes / 4);
    request.end_array().end_object();
    exchange.request = out.view();
    out.clear();
    JsonWriter response(out);
    response.begin_object().key("id").string(fmt::format("chatcmpl-{:08}", i));
    response.key("object").string("chat.completion").key("created").integer(1'700'000'000);
    response.key("model").string("gpt-4o-mini-2024-07-18").key("system_fingerprint").string("fp_1");
    response.key("choices").begin_array().begin_object().key("index").integer(0);
    response.key("message").begin_object().key("role").string("assistant").key("content");
    response.string(source.take(message_bytes / 4)).end_object();
    response.key("finish_reason").string("stop").end_object().end_array();
    response.key("usage").begin_object().key("prompt_tokens").integer(812);
    response.key("completion_tokens").integer(203).key("total_tokens").integer(1015);
    response.key("prompt_tokens_details").begin_object().key("cached_tokens").integer(128);
    response.end_object().key("completion_tokens_details").begin_object();
    response.key("reasoning_tokens").integer(64).end_object().key("cost").number(0.00042);
    response.end_object().end_object();
    exchange.response = out.view();
    exchanges.push_back(std::move(exchange));
  }
  return exchanges;
}

}  // namespace sidecast::bench
