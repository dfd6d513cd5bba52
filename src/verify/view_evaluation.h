// A view's rows in batch: its SQL over domains and the answers of earlier views, as the table answer.NAME. It has the view's
// columns, texts_column and depends_column.
//
// Left out of a relation, for this view alone, are the rows that are dead letters of the view, where computing with them fails
// indeed; a dead letter whose row computes is no reason to do without it. Rows that fail and are no dead letters are found
// by halves, named, and left out too.
//
// Values that their types cannot hold (NaN in a numeric) pass through joins, unions and groups as they do in the pipeline: for
// the SQL they are two different stand-ins, one time each. Where a result's column is the stand-in, it is the value; a row that
// is not the same both times was computed with the value, which the pipeline must have set aside.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "verify/compared_rows.h"

namespace tributary {

inline constexpr const char* depends_column = "__depends";  // BOOLEAN: computed with a value that its type cannot hold

// What a view's SQL can name: main.NAME shows columns of a table whose rows are numbered.
struct BatchRelation {
  struct Column {
    std::string name;
    std::string type;  // DuckDB's
  };
  std::string name;
  std::string table;  // source."orders"
  std::string row;  // its column that numbers rows
  std::vector<Column> columns;
  std::vector<std::string> key;  // names of key columns, for people
  std::vector<std::string> key_texts;  // SQL: their texts, as in VerifyDeadLetter
  bool is_view = false;
};

BatchRelation batch_relation(const DomainTable& domain);
// `types`: DuckDB's, of the view's columns.
BatchRelation batch_relation(const VerifyView& view, const std::vector<std::string>& types);

// DuckDB's types of the view's columns, over what the relations' tables hold now. Notes types that are not the pipeline's. An
// error: SQL that does not run on these tables, other columns than declared.
Result<std::vector<std::string>> answer_types(ScratchDatabase& database, const VerifyView& view,
                                              const PreparedView& prepared, std::vector<std::string>& notes);

// Lets main.NAME show the relation whole (of a view: without rows that depend on what cannot be held).
Status show(ScratchDatabase& database, const BatchRelation& relation);

// An empty answer.NAME, for the SQL of later views to be bound. `relation` is the view's own.
Status create_answer(ScratchDatabase& database, const BatchRelation& relation);

struct Evaluation {
  std::vector<UncomputedRow> failed;  // key: "orders id=5"
  std::vector<std::string> excepted;  // dead letters that fail indeed, the same way
};

// Fills the table of `own`, reading `read`. All relations show what they did before when it returns.
Result<Evaluation> evaluate(ScratchDatabase& database, const PreparedView& prepared, const BatchRelation& own,
                            const std::vector<const BatchRelation*>& read,
                            const std::vector<VerifyDeadLetter>& dead_letters);

}  // namespace tributary
