#include "app/engine_watch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/empty_parts.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds answer_limit{5};

// Tables with a part that could not be read at the start, of whose blocks no part is there now: merges put neighbours
// together, so that if what went into it came back, it is among them. One that no merge made was never acknowledged.
constexpr const char* lost_parts =
    "SELECT DISTINCT table FROM (SELECT d.table AS table, d.name, "
    "countIf(p.max >= d.min_block_number AND p.min <= d.max_block_number) AS left "
    "FROM system.detached_parts AS d LEFT JOIN (SELECT table AS of, partition_id AS id, min_block_number AS min, "
    "max_block_number AS max FROM system.parts WHERE database = currentDatabase() AND active) AS p "
    "ON p.of = d.table AND p.id = d.partition_id "
    "WHERE d.database = currentDatabase() AND d.reason LIKE '%broken%' AND d.level > 0 GROUP BY ALL) WHERE left = 0";

}  // namespace

void EngineWatch::look() {
  std::vector<std::string> empty = empty_parts(directory_);
  bool known = empty == empty_;  // those that it was started again for, and has not set aside yet
  empty_ = empty;
  if (!empty.empty() && !known) {
    log_(
        fmt::format("the disk of {} was full: the analytics engine has parts without bytes ({}); it is started again, "
                    "so that it takes back what they were made of",
                    directory_, fmt::join(empty, ", ")));
    engine_.start_again();
    return;
  }
  if (engine_.starts() != looked_at_start_) look_at_detached();
}

void EngineWatch::look_at_detached() {
  uint64_t start = engine_.starts();
  Result<std::string> lost = store_.execute(lost_parts, "TabSeparatedRaw", answer_limit);
  if (!lost.ok()) return;  // it is asked again
  looked_at_start_ = start;
  size_t at = 0;
  while (at < lost->size()) {
    size_t end = lost->find('\n', at);
    runtime_.note_lost_rows(lost->substr(at, end - at));
    at = end == std::string::npos ? lost->size() : end + 1;
  }
}

}  // namespace tributary
