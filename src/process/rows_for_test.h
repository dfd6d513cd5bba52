// Rows as text, for tests of operators.
//
//   Rows in = rows_of(layout, {"+ acme a 1 x", "- acme b NULL y"});   // weight (= for 0), client, key, cells
//   EXPECT_EQ(shown(out), "- acme 1\n+ acme 2\n");                    // sorted, without the keys
#pragma once

#include <algorithm>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "process/memory_state.h"
#include "process/memory_tables.h"
#include "process/operator.h"

namespace tributary {

inline void append_word(Column& column, const std::string& word) {
  if (word == "NULL") return column.append_null();
  if (word[0] == '~') return column.append_text(word.substr(1));  // its type cannot hold it
  switch (column.type().id) {
    case TypeId::kBool: return column.append_fixed<uint8_t>(word == "true" ? 1 : 0);
    case TypeId::kInt64: return column.append_fixed<int64_t>(std::stoll(word));
    case TypeId::kFloat64: return column.append_fixed<double>(std::stod(word));
    case TypeId::kDecimal:
      return column.append_fixed<Int128>(*parse_decimal(word, column.type().precision, column.type().scale));
    default: return column.append_bytes(word);
  }
}

inline Rows rows_of(std::span<const OutputColumn> layout, const std::vector<std::string>& lines) {
  Rows rows(layout);
  for (const std::string& line : lines) {
    std::istringstream words(line);
    std::string weight;
    std::string client;
    std::string key;
    words >> weight >> client >> key;
    rows.begin(rows.client(ClientId{client}), key, weight == "+" ? +1 : weight == "-" ? -1 : 0);
    for (Column& column : rows.columns) {
      std::string word;
      words >> word;
      append_word(column, word);
    }
  }
  return rows;
}

inline std::string shown(const Rows& rows) {
  std::multiset<std::string> lines;
  for (size_t row = 0; row < rows.rows(); ++row) {
    std::string line = (rows.weights[row] > 0 ? "+ " : rows.weights[row] < 0 ? "- " : "= ") + rows.client_at(row).value;
    for (const Column& column : rows.columns) {
      std::string text = cell_text(column, row);
      line += " " + (text == null_text ? "NULL" : text);
    }
    lines.insert(line + "\n");
  }
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

// What a call of the operator gives, over a state that stays.
inline std::string run(Operator& op, MemoryState& state, const std::vector<Rows>& inputs) {
  auto done = op.run(state, inputs);
  CHECK(done.ok(), "{}", done.error().to_string());
  std::string out = shown(done->rows);
  for (const FailedRow& row : done->failed) out += "failed: " + row.reason + "\n";
  return out;
}

// Keys of rows that failed in an earlier call and do not any more, beside those of the output.
inline std::vector<std::string> settled(Operator& op, MemoryState& state, const Rows& input) {
  auto done = op.run(state, {&input, 1});
  CHECK(done.ok(), "{}", done.error().to_string());
  std::vector<std::string> keys;
  for (const SettledRow& row : done->settled) keys.push_back(row.client.value + " " + row.key);
  return keys;
}

}  // namespace tributary
