// Walks the YAML tree of a pipeline file into a Pipeline, gathering every error. Used by pipeline.cpp alone.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/pipeline.h"
#include "config/scalars.h"
#include "config/yaml_tree.h"

namespace tributary {

class PipelineReader {
 public:
  PipelineReader(std::string file, std::shared_ptr<const std::string> text, const LoadOptions& options);

  void read(const YamlNode& root);

  Pipeline pipeline;
  std::vector<FileError> errors;
  bool names_known = false;  // whatever else is wrong: all relations and attributes that SQL may name were read

 private:
  using Members = std::map<std::string, const YamlNode*>;

  // ---- what every part needs (pipeline_reader.cpp)
  TextPlace place(size_t offset) const;
  TextPlace place(const YamlNode& node) const { return place(node.offset); }
  void fail(const YamlNode& node, std::string message);
  // The members of a map by name; duplicates and names not in `keys` are errors. `what` begins the messages: "client acme".
  Members members(const YamlNode& node, std::string_view what, std::initializer_list<std::string_view> keys);
  // The members of a map whose keys the user chooses, as far as they are names; in the file's order.
  std::vector<std::pair<const YamlNode*, const YamlNode*>> named(const YamlNode& node, std::string_view what);
  // A scalar's text with ${…} substituted; nullopt after an error.
  std::optional<std::string> text(const YamlNode& node, std::string_view what);
  std::optional<std::string> substituted(const YamlNode& node);
  std::optional<std::string> secret(const YamlNode& node, std::string_view kind, const std::string& name);
  template <typename T, typename Parse>
  void value(const Members& members, const char* key, T& into, Parse parse, std::string_view form);
  void count(const Members& members, const char* key, uint64_t& into);
  void count(const Members& members, const char* key, uint32_t& into, uint32_t max);
  void size(const Members& members, const char* key, uint64_t& into);
  void duration(const Members& members, const char* key, std::chrono::milliseconds& into);
  void duration(const Members& members, const char* key, std::optional<std::chrono::milliseconds>& into);
  void flag(const Members& members, const char* key, bool& into);

  // Whether each key below `domains` and `views` became one that SQL may name.
  bool all_read(const YamlNode& domains, const YamlNode* views) const;

  // ---- parts
  void read_name(const YamlNode* node);
  void read_clients(const YamlNode* clients, const YamlNode* defaults);
  void read_client(const YamlNode& key, const YamlNode& node, const ClientConfig& defaults);
  void read_client_members(const Members& members, ClientConfig& client);
  void read_source(const YamlNode& node, SourceUrl& into, std::string_view what);
  void read_attributes(const YamlNode& node, Attributes& into);
  void read_limits(const YamlNode& node, ClientLimits& into);
  void check_shared_databases();
  void read_domains(const YamlNode* node);
  void read_views(const YamlNode* node);
  void read_view(const YamlNode& key, const YamlNode& node);
  void read_tests(const YamlNode* node);
  void read_test_changes(const YamlNode& node, const std::vector<std::string>& domains,
                         std::vector<TestChange>& changes);
  std::map<std::string, std::vector<TestRow>> read_test_tables(const YamlNode& node, std::string_view what,
                                                               const std::vector<std::string>& known);
  // A stage written as its target alone or as a map with `at`. The map's other members are given back.
  Members read_stage(const YamlNode* node, std::string_view what, StageTarget& target,
                     std::initializer_list<std::string_view> targets, std::initializer_list<std::string_view> keys);
  void read_stages(const Members& top);
  void read_log(const YamlNode* node);
  void read_record_form(const Members& log);
  void read_kafka(const Members& log);
  void read_serve(const YamlNode* node);

  std::string file_;
  const LoadOptions& options_;
  bool optional_secrets_ = false;  // one that is missing is empty
  std::shared_ptr<const std::string> document_;
  std::vector<size_t> line_starts_;
};

template <typename T, typename Parse>
void PipelineReader::value(const Members& members, const char* key, T& into, Parse parse, std::string_view form) {
  auto found = members.find(key);
  if (found == members.end()) return;
  auto given = text(*found->second, key);
  if (!given) return;
  if (auto parsed = parse(*given)) {
    into = *parsed;
  } else {
    fail(*found->second, fmt::format("{}: \"{}\" is not {}", key, shown(found->second->text), form));
  }
}

}  // namespace tributary
