// The lock file: the tables' columns as they were found, beside the pipeline file (shop.yaml → shop.lock), so that
// `check` runs without databases. Text in a stable order, one line a column (docs/formats/lock-file.md). Written by `run`
// and `check --connect`, meant for version control.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/pipeline.h"
#include "contracts/view_plan.h"
#include "model/schema.h"

namespace tributary {

inline constexpr size_t lock_bytes_max = size_t{64} << 20;

struct LockFile {
  std::string pipeline;
  std::map<std::string, std::map<std::string, TableSchema>> domains;  // domain → client → its table; versions are 0
  // Domain → client → when its table came to the others', or got another key, type or column: 1, 2, …; not there: never.
  std::map<std::string, std::map<std::string, uint64_t>> changed;
  // Domain → client whose table changed and does not fit, or was not judged yet → its table as it fit last, where it did.
  std::map<std::string, std::map<std::string, std::optional<TableSchema>>> as_it_fit;
};

// Takes in a client's table as it is now. `before`: the lock file before this and what was seen at the same time. Once all
// are in, note_who_fits().
void note_table(LockFile& lock, const LockFile& before, const std::string& domain, const std::string& client,
                TableSchema schema);

std::vector<std::string> key_names(const TableSchema& schema);

std::string lock_path(const std::string& pipeline_path);  // "a/shop.yaml" → "a/shop.lock"

std::string lock_to_text(const LockFile& lock);
std::variant<LockFile, std::vector<FileError>> lock_from_text(const std::string& path, std::string_view text);

// nullopt where there is no such file.
std::variant<std::optional<LockFile>, std::vector<FileError>> read_lock(const std::string& path);
// Replaces the file in one step: readers see the old or the new one. Does nothing where the content is the same.
Status write_lock(const std::string& path, const LockFile& lock);

// A client whose table does not fit its domain. Its rows of that domain stand still as the table was when it fit last; where it
// never did, there are none.
struct SetAside {
  std::string client;
  std::string reason;  // "column total is text, which does not fit decimal(12,2) of the other clients; …"
  std::optional<TableSchema> as_it_fit;
};

struct DomainRelation {
  Relation relation;  // columns in the order of the first client that has them; key columns are not nullable
  std::vector<SetAside> set_aside;
  std::vector<std::string> clients;  // those that fit
};

// The union of the clients' columns by name, widened (model/type.h, widen). A table that changed or came must fit those that
// did not, and what stands still of those that are set aside: else its client is set aside, and nobody else for its sake. Of
// tables that are all new, what most have is what the others must fit; among as many, the one that changed least recently, then
// the first by id. nullopt where the lock file knows no client's table of this domain.
//
//   acme n int32, globex n int32; acme → text: acme is set aside, n stays int32 for both; globex → text: both fit, n is text.
std::optional<DomainRelation> domain_relation(const Pipeline& pipeline, const LockFile& lock,
                                              const std::string& domain);

// Keeps in the lock file who fits now: those must be fitted by what changes from now on.
void note_who_fits(const Pipeline& pipeline, LockFile& lock);

}  // namespace tributary
