// Parts of a view's SQL that read differently for the pipeline and for the batch that judges it.
//
//   what may fail             CAST(x AS UTINYINT)   |  TRY_CAST(x AS UTINYINT), and WHERE drops the rows that fail
//   a group that may fail     sum(x)                |  sum(x), and HAVING drops the groups that fail
//   a side of a join          d1 b                  |  (SELECT * FROM d1 b WHERE …) b, without the rows that fail in ON
//   arg_min, arg_max          arg_max(x, y)         |  the first of a list that is ordered by y and, of equal ones, by x
//   a row's place in QUALIFY  ORDER BY y            |  ORDER BY y, and then by the SELECT list
//
// They stand in the generated text as marks, which for_pipeline() and for_batch() replace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tributary::simulation {

struct Fails {
  std::string pipeline;
  std::string batch;  // where it fails it gives anything
  std::string failing;  // a condition of the batch; NULL is no
};
enum class FailsAt : uint8_t {
  kPassedRow,  // a row that WHERE lets pass
  kReadRow,  // any row that is read: in WHERE and ON
  kSide,  // a row of a join's right side, which side_of_join() leaves out
  kGroup,  // `failing` is one of HAVING
};
std::string may_fail(const Fails& part, FailsAt at);
// An expression over columns with values that their types cannot hold: `failing` says of which rows it is.
std::string fails_where_held(const std::string& sql, const std::string& failing);
std::string side_of_join(const std::string& relation, const std::string& alias,
                         const std::vector<std::string>& failing);
// GROUP BY and HAVING, which may be empty. Stands once in every SELECT with an aggregate, behind its WHERE.
std::string group_clause(const std::string& group_by, const std::string& having);
std::string arg_min_or_max(bool max, const std::string& argument, const std::string& order);
// Stands once in every SELECT, behind its FROM. `condition` may be empty; `other` is what with_other_where() puts there then.
std::string where_clause(const std::string& condition, const std::string& other);
// The same with the conditions of all WHERE taken out, and one put in where there was none.
std::string with_other_where(const std::string& marked);
std::string order_with_ties(const std::string& order, const std::vector<std::string>& select_list);

std::string for_pipeline(const std::string& marked);
std::string for_batch(const std::string& marked);
// What counts the dead letters: rows and groups of the view that fail. Empty where none may; unknown_failing where the batch
// cannot say.
std::string failing_rows(const std::string& marked);
inline constexpr std::string_view unknown_failing = "?";

}  // namespace tributary::simulation
