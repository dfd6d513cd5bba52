#include "sql/clause_refusals.h"

namespace tributary {

std::string clause_refusal(ClauseKind kind) {
  switch (kind) {
    case ClauseKind::kWith: return "WITH is not supported; make it a view of its own: views may read views";
    case ClauseKind::kDistinctOn:
      return "DISTINCT ON is not supported; write QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1";
    case ClauseKind::kGroupingSets:
      return "GROUPING SETS, ROLLUP and CUBE are not supported; write one SELECT for each, and UNION ALL between them";
    case ClauseKind::kEmptyGroup: return "GROUP BY () is what aggregates without GROUP BY mean; leave it out";
    case ClauseKind::kOrderBy:
      return "ORDER BY has no meaning in a view, which is a set of rows; leave it out, and sort in the query";
    case ClauseKind::kLimit:
      return "LIMIT would make the view's rows depend on each other; leave it out, and limit in the query";
    case ClauseKind::kSample: return "a sample gives other rows each time; use WHERE";
    case ClauseKind::kExcept: return "EXCEPT is not supported; write LEFT JOIN … WHERE the right side's key IS NULL";
    case ClauseKind::kIntersect: return "INTERSECT is not supported; write JOIN … ON a.id = b.id";
    case ClauseKind::kUnionByName:
      return "UNION BY NAME is not supported; list the columns in one order, and write UNION ALL";
    case ClauseKind::kSubqueryInFrom:
      return "a subquery in FROM is not supported; make it a view of its own: views may read views";
    case ClauseKind::kTableFunction: return "a view reads domains and views, not table functions; write FROM a domain";
    case ClauseKind::kNoFrom: return "the view reads nothing; write SELECT … FROM a domain";
    case ClauseKind::kOtherFrom: return "this form of FROM is not supported; write FROM domain AS alias";
  }
  return "this is not supported";
}

}  // namespace tributary
