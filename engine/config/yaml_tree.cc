#include "engine/config/yaml_tree.h"

#include <algorithm>
#include <istream>
#include <map>
#include <optional>
#include <streambuf>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "engine/base/utf8.h"

namespace sidecast {
namespace {

// A config of ten thousand destinations has some 300,000 nodes; a file of 16 MiB of brackets would
// make millions.
constexpr std::size_t kNodesMax = 2'000'000;

Position position_of(const YAML::Mark& mark) {
  return {static_cast<std::uint32_t>(mark.line + 1), static_cast<std::uint32_t>(mark.column + 1)};
}

// Thrown through yaml-cpp, which has no other way to be stopped; caught in parse_yaml().
struct Refused {
  ConfigProblem problem;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  std::shared_ptr<const YamlNode> take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++document_count_ > 1)
      refuse(mark, "a config is one YAML document; remove the second '---'");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    place(make(YamlNode::Kind::kNothing, mark, "?", anchor));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (!open_.empty() && open_.back().awaits_key()) return open_.back().begin_entry(value, mark);
    auto node = make(YamlNode::Kind::kScalar, mark, tag, anchor);
    node->text = value;
    place(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(mark, "the alias names something that contains it");
    place(found->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map whose end has not come yet.
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = YAML::NullAnchor;
    bool has_key = false;  // the last entry waits for its value

    [[nodiscard]] bool awaits_key() const { return node->kind == YamlNode::Kind::kMap && !has_key; }
    void begin_entry(const std::string& key, const YAML::Mark& mark) {
      node->entries.push_back({key, position_of(mark), nullptr});
      has_key = true;
    }
  };

  [[noreturn]] static void refuse(const YAML::Mark& mark, std::string message) {
    throw Refused{{position_of(mark), std::move(message)}};
  }

  std::shared_ptr<YamlNode> make(YamlNode::Kind kind, const YAML::Mark& mark,
                                 const std::string& tag, YAML::anchor_t anchor) {
    if (++node_count_ > kNodesMax) refuse(mark, "too many values for a config");
    // yaml-cpp's marks for "no tag": "" and "?", and "!" for text in quotes.
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, "YAML tags have no meaning here; remove it");
    }
    if (!open_.empty() && open_.back().awaits_key()) refuse(mark, "a key must be text");
    auto node = std::make_shared<YamlNode>();
    node->kind = kind;
    node->position = position_of(mark);
    const bool is_complete = kind == YamlNode::Kind::kScalar || kind == YamlNode::Kind::kNothing;
    if (anchor != YAML::NullAnchor && is_complete) anchors_[anchor] = node;
    return node;
  }

  void place(std::shared_ptr<const YamlNode> node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.awaits_key()) {
      throw Refused{{node->position, "a key must be text, not an alias"}};
    }
    if (parent.node->kind == YamlNode::Kind::kList) {
      parent.node->items.push_back(std::move(node));
    } else {
      parent.node->entries.back().value = std::move(node);
      parent.has_key = false;
    }
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    open_.push_back({make(kind, mark, tag, anchor), anchor, false});
  }

  void close() {
    const Open done = std::move(open_.back());
    open_.pop_back();
    // Known only now, so that no alias can name a node that is still open: there are no cycles.
    if (done.anchor != YAML::NullAnchor) anchors_[done.anchor] = done.node;
    place(done.node);
  }

  std::shared_ptr<const YamlNode> root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, std::shared_ptr<const YamlNode>> anchors_;
  std::size_t node_count_ = 0;
  std::size_t document_count_ = 0;
};

// The text as a stream, without a copy.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    // streambuf wants char*; an input buffer is never written to.
    char* const begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

std::optional<ConfigProblem> find_forbidden_bytes(std::string_view text) {
  Position position{1, 0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '\n') {
      position = {position.line + 1, 0};
      continue;
    }
    if ((byte & 0xC0U) != 0x80U) ++position.column;  // continuation bytes are no new character
    // yaml-cpp takes U+0004 for the end of the file and would silently ignore what follows.
    if (byte == 0x7F || (byte < 0x20 && byte != '\t' && byte != '\r')) {
      return ConfigProblem{position, fmt::format("control character 0x{:02x}; remove it", byte)};
    }
  }
  return std::nullopt;
}

// The line of the first byte that is no UTF-8.
std::optional<ConfigProblem> find_invalid_utf8(std::string_view text) {
  if (is_valid_utf8(text)) return std::nullopt;
  for (std::uint32_t line = 1;; ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end == text.size() || !is_valid_utf8(text.substr(0, end))) {
      return ConfigProblem{{line, 1}, "this line is not UTF-8; save the file as UTF-8"};
    }
    text.remove_prefix(end + 1);
  }
}

std::string_view line_of(std::string_view text, std::uint32_t line) {
  while (--line > 0) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

ConfigProblem syntax_problem(std::string_view text, const YAML::Exception& error) {
  ConfigProblem problem{position_of(error.mark), fmt::format("not valid YAML: {}", error.msg)};
  if (error.mark.is_null()) problem.position = {};
  if (problem.position.line > 0 &&
      line_of(text, problem.position.line).find("${") != std::string_view::npos) {
    problem.message += "; inside {...} and [...] a ${...} needs quotes";
  }
  return problem;
}

}  // namespace

tl::expected<std::shared_ptr<const YamlNode>, ConfigProblem> parse_yaml(std::string_view text) {
  if (auto problem = find_forbidden_bytes(text)) return tl::unexpected(*std::move(problem));
  if (auto problem = find_invalid_utf8(text)) return tl::unexpected(*std::move(problem));
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    TreeBuilder builder;
    while (parser.HandleNextDocument(builder)) continue;
    auto root = builder.take_root();
    if (root == nullptr) root = std::make_shared<YamlNode>();
    return root;
  } catch (Refused& refused) {
    return tl::unexpected(std::move(refused.problem));
  } catch (const YAML::Exception& error) {
    return tl::unexpected(syntax_problem(text, error));
  }
}

}  // namespace sidecast
