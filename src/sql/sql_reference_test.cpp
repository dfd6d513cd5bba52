// docs/sql.md cannot rot: each of its examples is planned, and each that it marks as refused is refused.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "sql/plan_as_sql.h"

namespace tributary {
namespace {

struct Reference {
  std::vector<Relation> relations;
  std::vector<InputColumn> attributes;
  std::vector<std::string> supported;
  std::vector<std::string> refused;
};

std::string trimmed(std::string text) {
  size_t begin = text.find_first_not_of(" \n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \n") - begin + 1);
}

// "id int64 key, email text"; a comma inside of parentheses is a type's.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> items(1);
  int depth = 0;
  for (char c : list) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0) {
      items.emplace_back();
    } else {
      items.back() += c;
    }
  }
  return items;
}

void read_relation(const std::string& name, std::string columns, Reference& reference) {
  Relation relation{.name = name};
  if (columns.starts_with("view: ")) {
    relation.is_view = true;
    columns = columns.substr(6);
  }
  for (const std::string& item : split(columns)) {
    std::istringstream words(item);
    std::string column, type, key;
    words >> column >> type >> key;
    auto parsed = LogicalType::parse(type);
    ASSERT_TRUE(parsed.has_value()) << item;
    relation.columns.push_back({column, *parsed, key != "key"});
    if (key == "key") relation.key.push_back(column);
  }
  if (name != "client") return reference.relations.push_back(std::move(relation));
  for (const OutputColumn& column : relation.columns) reference.attributes.push_back({column.name, column.type});
}

// Lines that begin with a blank go on with the relation before.
void read_relations(const std::string& block, Reference& reference) {
  std::istringstream lines(block);
  std::string all;
  for (std::string line; std::getline(lines, line);) all += line.starts_with(" ") ? " " + trimmed(line) : "\n" + line;
  std::istringstream relations(all);
  for (std::string line; std::getline(relations, line);) {
    size_t space = line.find(' ');
    if (space != std::string::npos) read_relation(line.substr(0, space), trimmed(line.substr(space)), reference);
  }
}

Reference read_reference() {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/docs/sql.md");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Reference reference;
  constexpr std::string_view fence = "```relations\n";
  size_t block = text.find(fence);
  size_t end = text.find("```", block + fence.size());
  EXPECT_NE(block, std::string::npos);
  read_relations(text.substr(block + fence.size(), end - block - fence.size()), reference);
  constexpr std::string_view cross = "✗ ";
  for (size_t at = text.find('`', end + 3); at != std::string::npos; at = text.find('`', at + 1)) {
    size_t close = text.find('`', at + 1);
    std::string code = text.substr(at + 1, close - at - 1);
    bool refused = text.substr(0, at).ends_with(cross);
    if (code.starts_with("SELECT ") || code.starts_with("WITH ") || refused) {
      (refused ? reference.refused : reference.supported).push_back(code);
    }
    at = close;
  }
  return reference;
}

class SqlReferenceTest : public PlannerTest {
 protected:
  static std::string result(const Reference& reference, const std::string& sql) {
    auto planned = plan_view(
        *engine, {.name = "v", .sql = sql, .relations = reference.relations, .attributes = reference.attributes});
    if (auto* errors = std::get_if<std::vector<PlanError>>(&planned)) return show(*errors);
    return std::get<ViewPlan>(planned).nodes.empty() ? "no nodes" : "planned";
  }
};

TEST_F(SqlReferenceTest, ExamplesArePlannedOrRefused) {
  Reference reference = read_reference();
  EXPECT_GT(reference.supported.size(), 70u);
  EXPECT_GT(reference.refused.size(), 60u);
  BatchDatabase batch(reference.relations);
  for (const std::string& sql : reference.supported) {
    EXPECT_EQ(result(reference, sql), "planned") << sql;
    if (sql.find("client.timezone") != std::string::npos) continue;  // an attribute that `batch` does not know
    auto columns = batch.columns_of_sql(sql);
    EXPECT_TRUE(columns.ok()) << sql << "\n" << columns.error().message;
  }
  for (const std::string& sql : reference.refused) {
    std::string refused = result(reference, sql);
    EXPECT_NE(refused, "planned") << sql;
    // Refused for what it is, not for a slip of the pen.
    for (const char* slip : {"has no column", "there is no domain", "no client has", "Parser Error"}) {
      EXPECT_EQ(refused.find(slip), std::string::npos) << sql << "\n" << refused;
    }
  }
}

}  // namespace
}  // namespace tributary
