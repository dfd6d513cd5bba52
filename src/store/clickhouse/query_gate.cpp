#include "store/clickhouse/query_gate.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/clickhouse_tokens.h"

namespace tributary {
namespace {

// Names of functions, lower case. Whatever begins so reads something outside of the row: files, dictionaries, other
// tables by name, the server, the machine, or waits.
constexpr std::array<std::string_view, 38> refused_functions = {
    "file",          "dictget",      "dicthas",       "dictis",       "joinget",     "getsetting",
    "getserver",     "getmacro",     "hostname",      "fqdn",         "tcpport",     "serveruuid",
    "uptime",        "filesystem",   "sleep",         "addressto",    "demangle",    "showcert",
    "getclienthttp", "catboost",     "evalml",        "hascolumnin",  "zookeeper",   "getoskernel",
    "displayname",   "ai",           "mergetreepart", "ismergetree",  "currentuser", "user",
    "currentroles",  "defaultroles", "enabledroles",  "initialquery", "queryid",     "connectionid",
    "structureto",   "remote"};
constexpr std::array<std::string_view, 5> allowed_table_functions = {"numbers", "generate_series", "generateseries",
                                                                     "values", "zeros"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

struct TreeLine {
  size_t depth = 0;
  std::string_view kind;  // "TableIdentifier"
  std::string_view rest;  // "acme.orders (alias o)"
};

TreeLine parse_line(std::string_view line) {
  TreeLine result;
  while (result.depth < line.size() && line[result.depth] == ' ') ++result.depth;
  line.remove_prefix(result.depth);
  size_t space = std::min(line.find(' '), line.size());
  result.kind = line.substr(0, space);
  result.rest = line.substr(std::min(space + 1, line.size()));
  return result;
}

std::string_view name_of(std::string_view rest) { return rest.substr(0, std::min(rest.find(" ("), rest.size())); }

Status check_table_name(std::string_view name, std::string_view client) {
  size_t dot = name.find('.');
  if (dot == std::string_view::npos || name.substr(0, dot) == client) return {};
  return refusal();
}

bool is_refused_function(std::string_view name) {
  std::string low = lower(name);
  return std::any_of(refused_functions.begin(), refused_functions.end(),
                     [&](std::string_view beginning) { return low.starts_with(beginning); });
}

// `x IN b.orders` names a table where an expression stands.
bool is_set_function(const TreeLine& line) {
  std::string low = line.kind == "Function" ? lower(name_of(line.rest)) : "";
  return low == "in" || low == "notin" || low == "globalin" || low == "globalnotin" || low == "nullin" ||
         low == "notnullin" || low == "globalnullin" || low == "globalnotnullin";
}

Status check_line(const TreeLine& line, const TreeLine& parent, std::string_view client) {
  constexpr std::array<std::string_view, 12> refused_kinds = {
      "Set",         "CreateQuery", "InsertQuery", "DropQuery", "AlterQuery",       "UseQuery",
      "SystemQuery", "ShowCreate",  "BackupQuery", "KillQuery", "Identifier_param", "QueryParameter"};
  for (std::string_view kind : refused_kinds) {
    if (line.kind == kind) return refusal();
  }
  if (line.kind == "TableIdentifier") return check_table_name(name_of(line.rest), client);
  if (line.kind != "Function") return {};
  std::string_view name = name_of(line.rest);
  if (parent.kind == "TableExpression") {
    std::string low = lower(name);
    bool allowed =
        std::find(allowed_table_functions.begin(), allowed_table_functions.end(), low) != allowed_table_functions.end();
    return allowed ? Status() : Status(refusal());
  }
  return is_refused_function(name) ? Status(refusal()) : Status();
}

}  // namespace

Error refusal() {
  return Error{ErrorCode::kPermissionDenied,
               "this query is not allowed: it may read your own tables, by their names, and nothing else"};
}

Result<GateStatement> read_statement(std::string_view sql) {
  if (sql.find('\0') != std::string_view::npos) return refusal();
  StatementParts parts = split_statement(sql);
  if (parts.broken) return Error{ErrorCode::kInvalidInput, "a quote or comment in the query is never closed"};
  if (!parts.rest.empty()) return refusal();  // SETTINGS after FORMAT
  ClickHouseTokens tokens(parts.body);
  std::string words;  // the first two
  SqlToken previous;
  size_t count = 0;
  for (SqlToken token = tokens.next(); token.kind != SqlTokenKind::kEnd; token = tokens.next(), ++count) {
    if (token.is_symbol(';')) return refusal();  // a second statement
    if (token.is_word("OUTFILE") && previous.is_word("INTO")) return refusal();
    // Control characters and escapes in a name could forge lines of the tree.
    if (token.kind == SqlTokenKind::kQuotedIdentifier && std::any_of(token.text.begin(), token.text.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7F;
        })) {
      return refusal();
    }
    if (count < 2) words += (count == 0 ? "" : " ") + lower(token.text);
    previous = token;
  }
  if (count == 0) return Error{ErrorCode::kInvalidInput, "Syntax error: the query is empty"};
  GateStatement statement{.text = std::string(parts.body), .format = std::string(parts.format)};
  if (words == "show tables" && count == 2) {
    statement.needs_tree = false;
    return statement;
  }
  std::string_view first = std::string_view(words).substr(0, words.find(' '));
  constexpr std::array<std::string_view, 6> allowed = {"select", "with", "(", "explain", "describe", "desc"};
  statement.refused = std::find(allowed.begin(), allowed.end(), first) == allowed.end();
  return statement;
}

Status check_tree(std::string_view tree, std::string_view client) {
  std::array<TreeLine, 512> path;  // the line above, by depth
  size_t lines = 0;
  while (!tree.empty()) {
    size_t end = std::min(tree.find('\n'), tree.size());
    TreeLine line = parse_line(tree.substr(0, end));
    tree.remove_prefix(std::min(end + 1, tree.size()));
    if (line.kind.empty()) continue;
    if (line.depth >= path.size()) return refusal();
    if (lines == 0) {
      constexpr std::array<std::string_view, 3> roots = {"SelectWithUnionQuery", "DescribeQuery", "Explain"};
      if (std::find(roots.begin(), roots.end(), line.kind) == roots.end()) return refusal();
    }
    // A SELECT that has more than its list of SELECTs has INTO OUTFILE, FORMAT or SETTINGS.
    if (line.kind == "SelectWithUnionQuery" && line.rest != "(children 1)") return refusal();
    RETURN_IF_ERROR(check_line(line, line.depth == 0 ? TreeLine{} : path[line.depth - 1], client));
    if (line.kind == "Identifier" && line.depth >= 2 && is_set_function(path[line.depth - 2])) {
      RETURN_IF_ERROR(check_table_name(name_of(line.rest), client));
    }
    path[line.depth] = line;
    ++lines;
  }
  return lines == 0 ? Status(refusal()) : Status();
}

std::string without_hints(std::string_view message) {
  size_t hint = message.find("Maybe you meant");
  if (hint == std::string_view::npos) return std::string(message);
  std::string_view kept = message.substr(0, hint);
  while (!kept.empty() && (kept.back() == ' ' || kept.back() == ':')) kept.remove_suffix(1);
  size_t name = message.rfind(" (");  // "(UNKNOWN_TABLE)"
  std::string out(kept);
  if (name != std::string_view::npos && name > hint) out += message.substr(name);
  return out;
}

}  // namespace tributary
