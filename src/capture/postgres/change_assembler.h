// Messages of the stream or of a peek → facts with positions, for one client. Pure but for the spill's files.
//
// A change's position needs its transaction's commit LSN. Whole transactions bring it with Begin; transactions that are
// streamed while in progress wait in the spill until Stream Commit, and are then read back by replay(). Changes of
// rolled-back subtransactions are gone by then, so both protocols number the same changes (docs/formats/position.md).
//
// The driver's loop, for every message:
//   apply() or replay()
//     → kNeedsTable: find out what needed() is, call resolve(), and repeat the same call
//     → kDone: flush when facts() are many, or when a commit was seen and nothing more is at hand
//
// What is at or below `appended` is in the log already and is skipped. Where the server begins to send before the
// transaction of `appended`, that very transaction has to come: else this is not the history that was read, but that
// of a database restored to an earlier state, and the answer is kNotFound.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "capture/postgres/connection.h"
#include "capture/postgres/transaction_spill.h"
#include "capture/postgres/visibility.h"
#include "codec/postgres/row_facts.h"

namespace tributary {

// A partition of which the server told before the first change in it, and whose change that was.
struct ToldPartition {
  uint32_t oid = 0;
  uint32_t transaction = 0;
  char replica_identity = 'd';
  std::vector<std::string> key;  // columns of its identity
};

// What the catalog said of the captured tables at a place in the log. What the server told last may be older: it does not tell of a
// table again whose schema got another name, or of a partitioned one that got another name or identity.
struct NamedTables {
  struct Table {
    TableName name;
    // Of a partitioned one.
    char replica_identity = '\0';
    std::vector<std::string> key;
  };
  uint64_t lsn = 0;
  std::map<uint32_t, Table> tables;  // by OID
};

class ChangeAssembler {
 public:
  enum class Step { kDone, kNeedsTable };

  struct Start {
    uint32_t epoch = 1;
    Position appended;
    int64_t appended_commit_micros = 0;
    uint64_t delivered_lsn = 0;
    uint64_t slot_lsn = 0;  // the server sends what commits from here on
  };
  // All but `client` and `start` outlive this.
  ChangeAssembler(ClientId client, Start start, TransactionSpill& spill, Visibility& visibility,
                  const ServerText& text);

  // One message; `lsn` is its place in the log. `bytes` need to live only during the call. After an error nothing of
  // the message was taken, and the connection must be given up.
  Result<Step> apply(uint64_t lsn, std::string_view bytes);

  // After a Stream Commit: some thousand messages of it a call, while replaying().
  bool replaying() const { return replay_ != nullptr; }
  Result<Step> replay();

  const PgRelation& needed() const { return needed_->relation; }
  // Of a partitioned table: the partitions, told of with it, that its changes are in.
  const std::vector<ToldPartition>& needed_partitions() const { return needed_->partitions; }
  // No target: the table's changes are left out.
  void resolve(std::optional<TableTarget> target) {
    needed_->target = std::move(target);
    needed_->resolved = true;
    needed_->partitions.clear();
  }

  // What commits behind `named.lsn` is of the tables that have these names and identities; all before it is of those that were told. A
  // later look is left out while an earlier one is still ahead.
  void note_names(NamedTables named);
  // Tables that changes were taken for that were not theirs, or under another key, or were not taken for, up to the place: since the
  // call before.
  struct Misnamed {
    uint64_t lsn = 0;
    std::set<std::string> tables;
  };
  bool has_misnamed() const { return misnamed_.lsn != 0; }
  Misnamed take_misnamed() { return std::exchange(misnamed_, {}); }

  // The transport says that everything before `lsn` has been sent.
  Status sent_until(uint64_t lsn);

  RowFacts& facts() { return facts_; }
  bool in_transaction() const { return transaction_.has_value(); }
  // Every fact at or below it was given to facts().
  const Position& covered() const { return covered_; }
  int64_t covered_commit_micros() const { return covered_commit_micros_; }
  // Every transaction whose commit record begins before it was given to facts().
  uint64_t delivered_lsn() const { return delivered_lsn_; }
  int64_t last_commit_micros() const { return last_commit_micros_; }
  uint64_t changes() const { return changes_; }

 private:
  struct Table {
    PgRelation relation;
    uint64_t told_lsn = 0;  // where the server told of it last
    std::vector<ToldPartition> partitions;  // told of since it was resolved
    bool resolved = false;
    // Of REPLICA IDENTITY FULL with partitions that are not: the server calls a key with NULLs beside it a whole old row, too.
    bool keys_as_rows = false;
    std::optional<TableTarget> target;
  };
  struct Transaction {
    uint32_t id = 0;
    uint64_t commit_lsn = 0;
    uint64_t end_lsn = 0;
    int64_t commit_micros = 0;
    bool skipped = false;  // all of it is in the log
    uint64_t last_change_lsn = 0;
    uint32_t ordinal = 0;
  };

  Status begin(uint32_t id, uint64_t commit_lsn, int64_t commit_micros);
  void end(uint64_t end_lsn);
  Error other_history() const;
  Status keep_for_commit(uint64_t lsn, std::string_view bytes);
  Result<Step> apply_decoded(uint64_t lsn);
  Result<Step> apply_change(uint64_t lsn);
  Result<Step> find_tables(bool& wanted);
  Table* find_table(uint32_t oid);
  Status add_fact(const FactOrigin& origin);
  void learn_table(uint64_t lsn);
  void reached(uint64_t lsn);
  void describe_as_now(Table& table);
  void learn_partition(uint32_t changed);

  uint32_t epoch_;
  TransactionSpill& spill_;
  Visibility& visibility_;
  const ServerText& text_;
  RowFacts facts_;
  PgMessage message_;  // reused
  std::unordered_map<uint32_t, Table> tables_;
  Table* last_table_ = nullptr;  // of the newest change of a row: nearly always the next one's too
  Table* needed_ = nullptr;
  NamedTables names_ahead_;  // lsn 0: none
  NamedTables names_;  // that were reached last
  Misnamed misnamed_;
  uint32_t told_last_ = 0;  // the relation that the message before told of; 0: it told of none

  std::optional<Transaction> transaction_;
  std::optional<uint32_t> streamed_;  // between Stream Start and Stream Stop
  std::unique_ptr<TransactionSpill::Reader> replay_;
  TransactionSpill::Message replayed_;
  bool replay_again_ = false;  // replayed_ waits for its table

  Position covered_;
  int64_t covered_commit_micros_;
  uint64_t expected_commit_lsn_ = 0;  // 0: it came, or is before what the server sends
  uint64_t delivered_lsn_;
  int64_t last_commit_micros_ = 0;
  uint64_t changes_ = 0;
};

}  // namespace tributary
