// Parts of a view's SQL that read differently for the pipeline and for the batch that judges it.
//
//   a row that may fail       CAST(x AS UTINYINT)   |  TRY_CAST(x AS UTINYINT), and WHERE drops the rows that fail
//   arg_min, arg_max          arg_max(x, y)         |  the first of a list that is ordered by y and, of equal ones, by x
//   a row's place in QUALIFY  ORDER BY y            |  ORDER BY y, and then by the SELECT list
//
// They stand in the generated text as marks, which for_pipeline() and for_batch() replace.
#pragma once

#include <string>
#include <vector>

namespace tributary::simulation {

// Fails where `sql`, an INTEGER, is negative.
std::string may_fail(const std::string& sql);
std::string arg_min_or_max(bool max, const std::string& argument, const std::string& order);
// Stands once in every SELECT, behind its FROM. `condition` may be empty.
std::string where_clause(const std::string& condition);
// The same with the conditions of all WHERE taken out, and one put in where there was none: a's first column is not NULL.
std::string with_other_where(const std::string& marked);
std::string order_with_ties(const std::string& order, const std::vector<std::string>& select_list);

std::string for_pipeline(const std::string& marked);
std::string for_batch(const std::string& marked);
// What counts the rows of this SELECT that fail: over its FROM and WHERE, those for which a part that may fail does.
// Empty where none may.
std::string failing_rows(const std::string& marked_select);

}  // namespace tributary::simulation
