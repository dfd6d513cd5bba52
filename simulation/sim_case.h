// One simulated case: clients' tables, views over them, what happens to them and how the facts of it arrive. All of it is
// data, so that a failing case can be made smaller and printed. The same seed makes the same case.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/schema.h"

namespace tributary::simulation {

// A value as SQL text without its type, nullopt for NULL: "7", "b", "2024-01-02".
using Value = std::optional<std::string>;

struct DomainShape {
  std::string name;
  std::vector<ColumnSchema> columns;  // key columns first
  std::vector<uint32_t> key;
  // At first the clients' tables have no column "late", and their "n" is an int32. kGrow changes that for one client.
  bool grows = false;
};

struct ViewText {
  std::string name;
  std::string sql;  // as in a pipeline file
  std::string batch;  // the same with ties broken as the pipeline breaks them; client.NAME stands in it too
  std::string failing;  // asks how many rows and groups of it fail, in the batch; empty: none may; "?": it cannot say
  std::string other_sql;  // what it is after the file changed: the same with another WHERE
  std::string other_batch;
  std::string other_failing;
  std::set<std::string> operators;  // for the coverage: "filter", "left join", …
  // Columns whose value is compared with a tolerance are those of type float64.
};

enum class StepKind : uint8_t {
  kPut,  // inserts, or updates where the key is there
  kDelete,
  kMove,  // to another key
  kTruncate,
  kSnapshot,  // the rows of a range of keys are read again
  kGrow,  // the client's table gets its last column
  kAttribute,  // a client's attribute changes
  kRound,  // what has arrived is processed
  kRestart,  // … and lost if not committed; the pipeline starts again with another number of workers
  kFailRound,  // a round is made and not committed
  kQuiet,  // everything arrives, and the views are compared
  // Of the pipeline only (sim_pipeline.h):
  kChangeFile,  // a view of the pipeline file gets its other SQL, and the program starts again
  kRetry,  // dead letters of a view are tried again
  kDropLetters,  // … or dropped
  kSend,  // what waits in the outbox goes to the store
  kReplay,  // a release with a view's other SQL, or (twice) with the same once more, or (unseen) of one client alone
  kSwitch,  // to a release, picked by the key
  kRollBack,
  kDropRelease,  // picked by the key
};

struct Step {
  StepKind kind = StepKind::kPut;
  uint32_t client = 0;
  uint32_t domain = 0;
  int64_t key = 0;  // picks a row
  int64_t other_key = 0;  // kMove, kSnapshot
  std::vector<Value> values;  // kPut, kMove: of the columns that are no key
  std::set<uint32_t> left_out;  // columns that an update leaves out if they did not change
  uint32_t delay = 0;  // its fact arrives so many steps late
  bool unseen = false;  // kPut: a new row is there from before the capture began, and no fact tells of it
  bool twice = false;  // … and once more, later
  uint32_t workers = 1;  // kRestart
  uint32_t view = 0;  // kChangeFile, kRetry, kDropLetters
  std::string attribute;  // kAttribute: name and value; nullopt: the client has none
  Value value;
};

struct SimCase {
  uint64_t seed = 0;
  std::vector<DomainShape> domains;
  std::vector<ViewText> views;
  std::vector<std::string> clients;
  std::vector<std::map<std::string, Value>> attributes;  // by client; all are texts
  std::vector<Step> steps;
};

SimCase make_case(uint64_t seed);

// A case as text, a line a thing, and back. Failures that were found are kept in this form (simulation/found/).
std::string to_text(const SimCase& sim);
SimCase parse_case(const std::string& text);

}  // namespace tributary::simulation
