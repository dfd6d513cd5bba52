#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "base/utf8.h"
#include "contracts/text_place.h"

namespace tributary {
namespace {

// Stops the parser: thrown and caught in this file.
struct Refused {
  size_t offset;
  std::string message;
};

// Builds the tree from the parser's events, within the limits.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view document) {
    line_starts_.push_back(0);
    for (size_t i = 0; i < document.size(); ++i) {
      if (document[i] == '\n') line_starts_.push_back(i + 1);
    }
    size_ = document.size();
  }

  size_t offset_of(const YAML::Mark& mark) const {
    if (mark.line < 0 || static_cast<size_t>(mark.line) >= line_starts_.size()) return size_;
    return std::min(size_,
                    line_starts_[static_cast<size_t>(mark.line)] + static_cast<size_t>(std::max(mark.column, 0)));
  }

  YamlNode root;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    begin(mark, anchor, YamlNode::Kind::kNull);
    end();
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{offset_of(mark), "aliases (*name) are not supported; write the value out, or use client_defaults"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = begin(mark, anchor, YamlNode::Kind::kScalar);
    node.quoted = tag == "!";  // the library's tag for every scalar that is not plain
    node.text = value;
    if (!node.quoted && (value == "~" || value == "null" || value == "Null" || value == "NULL")) {
      node.kind = YamlNode::Kind::kNull;
    }
    refuse_tag(tag, mark);
    end();
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    refuse_tag(tag, mark);
    begin(mark, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    refuse_tag(tag, mark);
    begin(mark, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    YamlNode node;
    std::optional<YamlNode> key;  // of a map: read, its value not yet
  };

  void refuse_tag(const std::string& tag, const YAML::Mark& mark) const {
    if (tag.empty() || tag == "?" || tag == "!") return;
    throw Refused{offset_of(mark), "tags (!name) are not supported; leave it out"};
  }

  YamlNode& begin(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    size_t offset = offset_of(mark);
    if (anchor != YAML::NullAnchor) {
      throw Refused{offset, "anchors (&name) are not supported; write the value out, or use client_defaults"};
    }
    if (open_.size() >= yaml_depth_max) {
      throw Refused{offset, fmt::format("nested more than {} deep; a pipeline file is flat", yaml_depth_max)};
    }
    if (++nodes_ > yaml_nodes_max) throw Refused{offset, fmt::format("more than {} values", yaml_nodes_max)};
    Open open;
    open.node.kind = kind;
    open.node.offset = offset;
    open_.push_back(std::move(open));
    return open_.back().node;
  }

  void end() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    if (open_.empty()) {
      root = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      if (node.kind != YamlNode::Kind::kScalar) throw Refused{node.offset, "a key is a plain text"};
      parent.key = std::move(node);
    } else {
      parent.node.keys.push_back(*std::move(parent.key));
      parent.node.values.push_back(std::move(node));
      parent.key.reset();
    }
  }

  std::vector<size_t> line_starts_;
  size_t size_ = 0;
  size_t nodes_ = 0;
  std::vector<Open> open_;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Bytes of the escape that begins with the backslash at `at`.
size_t escape_bytes(std::string_view document, size_t at) {
  switch (at + 1 < document.size() ? document[at + 1] : '\0') {
    case 'x': return 4;
    case 'u': return 6;
    case 'U': return 10;
    default: return 2;
  }
}

size_t character_bytes(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
}

// Where the text of the scalar at `offset` begins, and how it is quoted ('\0': not at all).
std::pair<size_t, char> scalar_begin(std::string_view document, size_t offset) {
  if (offset >= document.size()) return {document.size(), '\0'};
  char first = document[offset];
  if (first == '"' || first == '\'') return {offset + 1, first};
  if (first != '|' && first != '>') return {offset, '\0'};
  size_t end = document.find('\n', offset);
  return {end == std::string_view::npos ? document.size() : end + 1, '\0'};
}

// The last tab before a line's text, in lines up to that of `offset`: what the parser says of it helps nobody.
std::optional<size_t> indenting_tab(std::string_view document, size_t offset) {
  std::optional<size_t> found;
  for (size_t begin = 0; begin <= std::min(offset, document.size());) {
    size_t text = std::min(document.find_first_not_of(" \t", begin), document.size());
    size_t tab = document.substr(begin, text - begin).find('\t');
    bool blank = text == document.size() || document[text] == '\n' || document[text] == '\r';
    if (tab != std::string_view::npos && !blank) found = begin + tab;
    size_t end = document.find('\n', text);
    if (end == std::string_view::npos) break;
    begin = end + 1;
  }
  return found;
}

}  // namespace

std::variant<YamlNode, std::vector<FileError>> parse_yaml(const std::string& file, std::string_view document) {
  auto fail = [&](size_t offset, std::string message) {
    return std::vector<FileError>{{file, place_at(document, offset), std::move(message)}};
  };
  if (document.size() > yaml_bytes_max) {
    return fail(0, fmt::format("the file is too large: at most {} bytes are read; write what clients share into "
                               "client_defaults, or make pipelines of a part of the clients each",
                               yaml_bytes_max));
  }
  if (!is_utf8(document) || document.find('\0') != std::string_view::npos) {
    return fail(0, "the file is not UTF-8 text; save it as such");
  }
  if (document.starts_with("\xEF\xBB\xBF")) return fail(0, "the file begins with a byte order mark; save it without");
  TreeBuilder builder(document);
  try {
    std::istringstream stream{std::string(document)};
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder))
      return fail(0, "the file is empty; `tributary init` writes one to start from");
    TreeBuilder second(document);
    if (parser.HandleNextDocument(second)) return fail(second.root.offset, "a second document; a file holds one");
  } catch (const Refused& refused) {
    return fail(refused.offset, refused.message);
  } catch (const YAML::Exception& error) {
    size_t offset = builder.offset_of(error.mark);
    if (auto tab = indenting_tab(document, offset))
      return fail(*tab, "a tab indents this line; YAML takes spaces alone");
    return fail(offset, "not YAML: " + error.msg);
  } catch (const std::exception& error) {
    return fail(0, fmt::format("not YAML: {}", error.what()));
  }
  return std::move(builder.root);
}

std::vector<uint32_t> scalar_offsets(std::string_view document, size_t offset, std::string_view text) {
  auto [at, quote] = scalar_begin(document, offset);
  std::vector<uint32_t> offsets;
  offsets.reserve(text.size() + 1);
  for (size_t i = 0; i < text.size();) {
    char wanted = text[i];
    if (quote == '"' && at + 1 < document.size() && document[at] == '\\') {
      if (document[at + 1] == '\n' || document[at + 1] == '\r') {  // the line goes on
        ++at;
        while (at < document.size() && is_space(document[at])) ++at;
        continue;
      }
      for (size_t end = std::min(text.size(), i + character_bytes(wanted)); i < end; ++i) {
        offsets.push_back(static_cast<uint32_t>(at));
      }
      at += escape_bytes(document, at);
      continue;
    }
    if (is_space(wanted)) {
      // Folding and indentation: white space stands for white space, however much there is of either.
      offsets.push_back(static_cast<uint32_t>(std::min(at, document.size())));
      bool last = i + 1 == text.size() || !is_space(text[i + 1]);
      if (at < document.size() && is_space(document[at])) ++at;
      while (last && at < document.size() && is_space(document[at])) ++at;
      ++i;
      continue;
    }
    while (at < document.size() && document[at] != wanted && is_space(document[at])) ++at;
    offsets.push_back(static_cast<uint32_t>(std::min(at, document.size())));
    if (quote == '\'' && wanted == '\'') ++at;  // written twice
    ++at;
    ++i;
  }
  offsets.push_back(static_cast<uint32_t>(std::min(at, document.size())));
  return offsets;
}

}  // namespace tributary
