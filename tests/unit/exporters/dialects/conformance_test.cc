// What every dialect must hold for every trace: the rules of OTLP about attributes, the rules of
// flattened lists, and the published names.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "exporters/registry.h"
#include "tests/unit/exporters/dialects/trace_fixture.h"

namespace sidecast {
namespace {

// A trace with everything a dialect may write: parts of all kinds, several messages, documents.
Trace full_trace(Arena& arena, TraceKind kind, Operation operation, bool failed) {
  Trace trace = chat_trace(arena);
  trace.kind = kind;
  trace.operation = operation;
  for (ArenaVector<Message>* messages : {&trace.input_messages, &trace.output_messages}) {
    Message& message = messages->emplace_back(arena);
    message.role = "assistant";
    message.name = "bob";
    for (int round = 0; round < 2; ++round) {
      for (int i = 0; i <= static_cast<int>(PartKind::kOther); ++i) {
        Part part;
        part.kind = static_cast<PartKind>(i);
        part.text = "{}";
        part.id = "id";
        part.name = "name";
        part.signature = "signature";
        message.parts.push_back(part);
      }
    }
    messages->emplace_back(arena);  // says nothing at all
    messages->emplace_back(arena).role = "user";
  }
  trace.prompts.assign({"one", "", "three"});
  trace.rerank_query = "query";
  trace.rerank_top_k = 3;
  trace.input_documents.push_back({"", "text", {}});
  trace.input_documents.push_back({"", "", {}});
  trace.input_documents.push_back({"2", "more", {}});
  trace.output_documents.push_back({"2", "more", 0.5});
  trace.parameters.seed = 1;
  trace.parameters.choice_count = 2;
  trace.parameters.top_p = trace.parameters.top_k = 1;
  trace.parameters.frequency_penalty = trace.parameters.presence_penalty = 0;
  trace.parameters.output_type = "json";
  trace.parameters.service_tier = "flex";
  trace.parameters.dimensions = 8;
  trace.parameters.encoding_format = "float";
  trace.service_tier = "default";
  trace.system_fingerprint = "fp";
  trace.usage.input_audio = trace.usage.output_audio = 1;
  trace.settings.trace_name = "root";
  trace.settings.span_name = "group";
  trace.settings.trace_id_text = "text";
  trace.settings.trace_id_hashed = true;
  trace.settings.parent_span_id_text = "no span id";
  trace.attempts.push_back({"A", "m", "/v1", trace.start, trace.end, 503, "overloaded", "busy"});
  trace.attributes.clear();
  if (failed) trace.outcome = {500, true, false, "server", "boom"};
  return trace;
}

template <typename Check>
void for_each_span(Check check) {
  for (const DialectEntry& dialect : dialects()) {
    for (int kind = 0; kind <= static_cast<int>(TraceKind::kUnknown); ++kind) {
      for (int operation = 0; operation <= static_cast<int>(Operation::kModeration); ++operation) {
        for (const bool is_explicit : {false, true}) {
          Arena arena;
          Trace trace = full_trace(arena, static_cast<TraceKind>(kind),
                                   static_cast<Operation>(operation), operation % 2 == 1);
          trace.is_explicit_span = is_explicit;
          trace.name = is_explicit ? "explicit" : "";
          DialectOptions options;
          const SpanSet set = dialect.write(trace, options, arena);
          for (const Span& span : set.spans) check(dialect, span);
        }
      }
    }
  }
}

TEST(DialectConformance, NamesAreUniqueAndNeverEmpty) {
  for_each_span([](const DialectEntry& dialect, const Span& span) {
    std::set<Text> names;
    for (const Attribute& attribute : span.attributes) {
      EXPECT_FALSE(attribute.key.empty());
      EXPECT_TRUE(names.insert(attribute.key).second) << dialect.name << " " << attribute.key;
    }
  });
}

TEST(DialectConformance, EverySpanHasANameAnIdAndAKind) {
  for_each_span([](const DialectEntry& dialect, const Span& span) {
    EXPECT_FALSE(span.name.empty()) << dialect.name;
    EXPECT_FALSE(span.trace_id.is_zero());
    EXPECT_FALSE(span.span_id.is_zero());
    EXPECT_NE(span.kind, SpanKind::kUnspecified);
    EXPECT_NE(span.status, StatusCode::kUnset) << "both dialects say OK";
  });
}

bool is_index(Text word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<Text> words_of(Text name) {
  std::vector<Text> words;
  while (true) {
    const std::size_t dot = name.find('.');
    words.push_back(name.substr(0, dot));
    if (dot == Text::npos) return words;
    name.remove_prefix(dot + 1);
  }
}

TEST(DialectConformance, IndicesHaveNoGapsAndPrefixesAreNeverNames) {
  for_each_span([](const DialectEntry& dialect, const Span& span) {
    std::map<std::string, std::set<std::size_t>> lists;  // prefix -> indices seen under it
    for (const Attribute& attribute : span.attributes) {
      std::string prefix;
      for (const Text word : words_of(attribute.key)) {
        if (is_index(word)) lists[prefix].insert(std::stoul(std::string(word)));
        prefix += (prefix.empty() ? "" : ".") + std::string(word);
      }
    }
    for (const auto& [prefix, indices] : lists) {
      EXPECT_EQ(*indices.rbegin(), indices.size() - 1) << dialect.name << " gap in " << prefix;
      EXPECT_EQ(find_attribute(span.attributes, prefix), nullptr) << "bare prefix " << prefix;
    }
  });
}

TEST(DialectConformance, NoDoubleIsSentAsAnInteger) {
  for_each_span([](const DialectEntry& dialect, const Span& span) {
    for (const Attribute& attribute : span.attributes) {
      const bool is_double = std::holds_alternative<double>(attribute.value);
      const Text key = attribute.key;
      const bool wants_double = key.find("cost") != Text::npos || key == "gen_ai.request.top_p" ||
                                key == "gen_ai.request.top_k" ||
                                key == "gen_ai.request.temperature" ||
                                key.find("penalty") != Text::npos;
      EXPECT_TRUE(!wants_double || is_double) << dialect.name << " " << key;
      const bool wants_integer = key.find("token_count") != Text::npos ||
                                 (key.find("gen_ai.usage.") == 0 && !wants_double);
      EXPECT_TRUE(!wants_integer || std::holds_alternative<std::int64_t>(attribute.value))
          << dialect.name << " " << key;
    }
  });
}

// "llm.tools.<i>.tool.json_schema" and "llm.tools.3.tool.json_schema" alike.
std::string pattern_of(Text name) {
  std::string pattern;
  for (const Text word : words_of(name)) {
    const bool is_any = is_index(word) || word == "<i>" || word == "<j>" || word == "<k>";
    pattern += (pattern.empty() ? "" : ".") + (is_any ? "#" : std::string(word));
  }
  return pattern;
}

struct PublishedNames {
  std::set<std::string> patterns;
  std::vector<std::string> open_prefixes;  // "trace.metadata." of "trace.metadata.<key>"

  [[nodiscard]] bool hold(Text name) const {
    if (patterns.count(pattern_of(name)) != 0) return true;
    return std::any_of(open_prefixes.begin(), open_prefixes.end(), [name](const auto& prefix) {
      return name.size() > prefix.size() && name.substr(0, prefix.size()) == prefix;
    });
  }
};

PublishedNames read_names(const std::filesystem::path& folder) {
  PublishedNames names;
  for (const char* file : {"openinference-attributes.json", "genai-attributes.json"}) {
    std::ifstream stream(folder / file);
    for (const auto& row : nlohmann::json::parse(stream)) {
      const std::string name = row.at("name");
      const std::size_t key = name.find("<key>");
      if (key != std::string::npos) {
        names.open_prefixes.push_back(name.substr(0, key));
      } else if (row.at("type") != "object_list") {  // a bare prefix is never a name
        names.patterns.insert(pattern_of(name));
      }
    }
  }
  return names;
}

TEST(DialectConformance, EveryNameIsAPublishedOne) {
  const std::filesystem::path folder =
      std::filesystem::path(SIDECAST_SOURCE_DIR) / ".." / "shared" / "reference";
  if (!std::filesystem::exists(folder / "genai-attributes.json")) {
    std::cerr << "NOT CHECKED: no lists of published attribute names at " << folder << "\n";
    GTEST_SKIP();
  }
  const PublishedNames names = read_names(folder);
  ASSERT_TRUE(names.hold("llm.tools.3.tool.json_schema"));
  ASSERT_FALSE(names.hold("llm.tools"));
  ASSERT_FALSE(names.hold("llm.made_up"));
  for_each_span([&names](const DialectEntry& dialect, const Span& span) {
    for (const Attribute& attribute : span.attributes) {
      EXPECT_TRUE(names.hold(attribute.key)) << dialect.name << " " << attribute.key;
    }
  });
}

}  // namespace
}  // namespace sidecast
