#include "capture/postgres/change_assembler.h"

#include <algorithm>

#include "base/bytes.h"

namespace tributary {
namespace {

// Messages of a large transaction that one replay() takes, so that other clients have their turn.
constexpr int replay_messages = 2000;

Error out_of_order(std::string_view what) {
  return {ErrorCode::kCorrupt, fmt::format("the replication stream is out of order: {}", what)};
}

bool changes_row(PgMessageKind kind) {
  return kind == PgMessageKind::kInsert || kind == PgMessageKind::kUpdate || kind == PgMessageKind::kDelete;
}

}  // namespace

ChangeAssembler::ChangeAssembler(ClientId client, Start start, TransactionSpill& spill, Visibility& visibility,
                                 const ServerText& text)
    : epoch_(start.epoch),
      spill_(spill),
      visibility_(visibility),
      text_(text),
      facts_(std::move(client), text),
      covered_(start.appended),
      covered_commit_micros_(start.appended_commit_micros),
      delivered_lsn_(start.delivered_lsn) {
  if (covered_commit_micros_ != 0 && covered_.commit >= start.slot_lsn) expected_commit_lsn_ = covered_.commit;
}

Error ChangeAssembler::other_history() const {
  return {ErrorCode::kNotFound,
          fmt::format("the transaction that was read at {} is not in the server's log any more: the database was "
                      "restored to an earlier state, and has another history since",
                      lsn_to_string(expected_commit_lsn_))};
}

Status ChangeAssembler::sent_until(uint64_t lsn) {
  if (in_transaction() || lsn <= delivered_lsn_) return {};
  if (expected_commit_lsn_ != 0 && lsn > expected_commit_lsn_) return other_history();
  delivered_lsn_ = lsn;
  reached(lsn);
  return {};
}

void ChangeAssembler::note_names(NamedTables named) {
  if (names_ahead_.lsn == 0) names_ahead_ = std::move(named);
}

// Nothing that commits before `lsn` comes any more.
void ChangeAssembler::reached(uint64_t lsn) {
  if (names_ahead_.lsn == 0 || lsn < names_ahead_.lsn) return;
  names_ = std::exchange(names_ahead_, {});
  for (auto& [oid, table] : tables_) describe_as_now(table);
}

void ChangeAssembler::describe_as_now(Table& table) {
  if (table.told_lsn >= names_.lsn) return;
  PgRelation& relation = table.relation;
  PgRelation told = relation;
  auto is_told = [&](const auto& entry) { return entry.second.name == TableName{relation.schema, relation.name}; };
  auto now = names_.tables.find(relation.oid);
  if (now != names_.tables.end()) {
    relation.schema = now->second.name.schema;
    relation.name = now->second.name.name;
    if (now->second.replica_identity != '\0') {
      relation.replica_identity = now->second.replica_identity;
      for (PgRelationColumn& column : relation.columns) {
        column.key = relation.replica_identity == 'f' || std::ranges::count(now->second.key, column.name) != 0;
      }
    }
  } else if (std::ranges::any_of(names_.tables, is_told)) {
    relation.schema.clear();  // another has its name
    relation.name.clear();
  }
  if (relation == told) return;
  table.resolved = false;
  misnamed_.lsn = names_.lsn;
  misnamed_.tables.insert(
      {TableName{told.schema, told.name}.plain(), TableName{relation.schema, relation.name}.plain()});
}

Status ChangeAssembler::begin(uint32_t id, uint64_t commit_lsn, int64_t commit_micros) {
  if (in_transaction()) return out_of_order("a transaction inside a transaction");
  if (expected_commit_lsn_ != 0 && commit_lsn >= expected_commit_lsn_) {
    bool same = commit_lsn == expected_commit_lsn_ && commit_micros == covered_commit_micros_;
    if (!same) return other_history();
    expected_commit_lsn_ = 0;
  }
  reached(commit_lsn);
  told_last_ = 0;
  transaction_ = Transaction{.id = id, .commit_lsn = commit_lsn, .commit_micros = commit_micros};
  transaction_->skipped = Position::end_of_commit(epoch_, commit_lsn) <= covered_;
  return {};
}

void ChangeAssembler::end(uint64_t end_lsn) {
  if (!transaction_->skipped) {
    covered_ = Position::end_of_commit(epoch_, transaction_->commit_lsn);
    covered_commit_micros_ = transaction_->commit_micros;
  }
  delivered_lsn_ = std::max(delivered_lsn_, end_lsn);
  last_commit_micros_ = transaction_->commit_micros;
  visibility_.delivered(transaction_->id, transaction_->commit_lsn);
  transaction_.reset();
}

// Inside a stream only what is needed to keep the message is looked at: it is decoded at its commit.
Status ChangeAssembler::keep_for_commit(uint64_t lsn, std::string_view bytes) {
  if (bytes.size() < 5) return out_of_order("a message of a stream without its transaction");
  return spill_.add(*streamed_, {load_u32_big(bytes.data() + 1), lsn, bytes});
}

Result<ChangeAssembler::Step> ChangeAssembler::apply(uint64_t lsn, std::string_view bytes) {
  CHECK(!replaying(), "a committed transaction is read back first");
  if (streamed_ && !bytes.empty() && bytes[0] != static_cast<char>(PgMessageKind::kStreamStop)) {
    RETURN_IF_ERROR(keep_for_commit(lsn, bytes));
    return Step::kDone;
  }
  RETURN_IF_ERROR(decode_pgoutput(bytes, false, message_));
  switch (message_.kind) {
    case PgMessageKind::kBegin:
      RETURN_IF_ERROR(begin(message_.transaction, message_.commit_lsn, message_.commit_micros));
      return Step::kDone;
    case PgMessageKind::kCommit:
      if (!in_transaction() || transaction_->commit_lsn != message_.commit_lsn)
        return out_of_order("a commit of another");
      end(message_.end_lsn);
      return Step::kDone;
    case PgMessageKind::kStreamStart: streamed_ = message_.transaction; return Step::kDone;
    case PgMessageKind::kStreamStop:
      if (!streamed_) return out_of_order("the end of a stream that did not begin");
      streamed_.reset();
      return Step::kDone;
    case PgMessageKind::kStreamAbort: spill_.abort(message_.transaction, message_.subtransaction); return Step::kDone;
    case PgMessageKind::kStreamCommit: {
      RETURN_IF_ERROR(begin(message_.transaction, message_.commit_lsn, message_.commit_micros));
      transaction_->end_lsn = message_.end_lsn;
      ASSIGN_OR_RETURN(replay_, spill_.commit(message_.transaction));
      return Step::kDone;
    }
    default: return apply_decoded(lsn);
  }
}

Result<ChangeAssembler::Step> ChangeAssembler::replay() {
  for (int i = 0; i < replay_messages; ++i) {
    if (!std::exchange(replay_again_, false)) {
      ASSIGN_OR_RETURN(bool more, replay_->next(replayed_));
      if (!more) {
        replay_.reset();
        end(transaction_->end_lsn);
        return Step::kDone;
      }
    }
    char type = replayed_.bytes.empty() ? '\0' : replayed_.bytes[0];
    bool aborted = replay_->aborted(replayed_);
    // Relation messages count whoever sent them: the server does not repeat them after a rollback.
    bool tells = type == static_cast<char>(PgMessageKind::kRelation);
    if (aborted && !tells && told_last_ == 0) continue;
    RETURN_IF_ERROR(decode_pgoutput(replayed_.bytes, true, message_));
    if (aborted && !tells) {
      if (changes_row(message_.kind)) learn_partition(message_.relation);
      continue;
    }
    ASSIGN_OR_RETURN(Step step, apply_decoded(replayed_.lsn));
    if (step == Step::kNeedsTable) {
      replay_again_ = true;
      return step;
    }
  }
  return Step::kDone;
}

void ChangeAssembler::learn_table(uint64_t lsn) {
  // Told again means that something about it may have changed: it is looked up afresh.
  Table& table = tables_[message_.table.oid];
  table.relation = message_.table;
  text_.make_utf8(table.relation.schema);
  text_.make_utf8(table.relation.name);
  for (PgRelationColumn& column : table.relation.columns) text_.make_utf8(column.name);
  table.resolved = false;
  table.told_lsn = lsn;
  describe_as_now(table);  // a transaction tells at its commit what was long ago
  told_last_ = table.relation.oid;
}

// The server tells of a partition, after its table, before the first change in it: the change names the table alone.
void ChangeAssembler::learn_partition(uint32_t changed) {
  uint32_t told = std::exchange(told_last_, 0);
  if (told == 0 || told == changed) return;
  auto table = tables_.find(changed);
  if (table == tables_.end()) return;
  const PgRelation& relation = tables_.at(told).relation;
  ToldPartition partition{told, transaction_ ? transaction_->id : 0, relation.replica_identity, {}};
  for (const PgRelationColumn& column : relation.columns) {
    if (column.key) partition.key.push_back(column.name);
  }
  table->second.keys_as_rows = table->second.keys_as_rows || relation.replica_identity != 'f';
  table->second.partitions.push_back(std::move(partition));
  table->second.resolved = false;
}

Result<ChangeAssembler::Step> ChangeAssembler::apply_decoded(uint64_t lsn) {
  switch (message_.kind) {
    case PgMessageKind::kRelation: learn_table(lsn); return Step::kDone;
    case PgMessageKind::kInsert:
    case PgMessageKind::kUpdate:
    case PgMessageKind::kDelete:
      learn_partition(message_.relation);
      message_.truncated.assign(1, message_.relation);
      return apply_change(lsn);
    case PgMessageKind::kTruncate: told_last_ = 0; return apply_change(lsn);
    case PgMessageKind::kMessage:
      // A message outside a transaction stands for itself: everything before it has been sent.
      if (!message_.transactional) RETURN_IF_ERROR(sent_until(message_.message_lsn));
      return Step::kDone;
    default: return Step::kDone;  // Type, Origin
  }
}

// nullptr: it was not announced.
ChangeAssembler::Table* ChangeAssembler::find_table(uint32_t oid) {
  if (last_table_ != nullptr && last_table_->relation.oid == oid) return last_table_;
  auto at = tables_.find(oid);
  return at == tables_.end() ? nullptr : last_table_ = &at->second;
}

// The tables that the change is about, in message_.truncated. `wanted`: at least one of them is captured.
Result<ChangeAssembler::Step> ChangeAssembler::find_tables(bool& wanted) {
  wanted = false;
  for (uint32_t oid : message_.truncated) {
    Table* table = find_table(oid);
    if (table == nullptr) return out_of_order(fmt::format("a change of relation {}, which was not announced", oid));
    if (!table->resolved) {
      needed_ = table;
      return Step::kNeedsTable;
    }
    wanted = wanted || table->target.has_value();
  }
  return Step::kDone;
}

Result<ChangeAssembler::Step> ChangeAssembler::apply_change(uint64_t lsn) {
  if (!in_transaction()) return out_of_order("a change outside a transaction");
  Transaction& transaction = *transaction_;
  if (transaction.skipped) return Step::kDone;
  uint32_t ordinal = lsn == transaction.last_change_lsn ? transaction.ordinal + 1 : 0;
  Position position{epoch_, transaction.commit_lsn, lsn, ordinal};
  if (position > covered_) {
    bool wanted = false;
    ASSIGN_OR_RETURN(Step step, find_tables(wanted));
    if (step == Step::kNeedsTable) return step;
    if (wanted) {
      RETURN_IF_ERROR(add_fact({position, transaction.commit_micros, transaction.id}));
      ++changes_;
    }
    covered_ = position;
    covered_commit_micros_ = transaction.commit_micros;
  }
  transaction.last_change_lsn = lsn;
  transaction.ordinal = ordinal;
  return Step::kDone;
}

Status ChangeAssembler::add_fact(const FactOrigin& origin) {
  if (message_.kind == PgMessageKind::kTruncate) {
    for (uint32_t oid : message_.truncated) {
      const Table& table = tables_.at(oid);
      if (!table.target) continue;
      facts_.add_range(*table.target, {.kind = RangeKind::kTruncate,
                                       .position = origin.position,
                                       .commit_micros = origin.commit_micros,
                                       .transaction = origin.transaction});
    }
    return {};
  }
  const Table& table = *find_table(message_.relation);
  const TableTarget& target = *table.target;
  char old_image = message_.old_image == 'O' && table.keys_as_rows ? 'K' : message_.old_image;
  switch (message_.kind) {
    case PgMessageKind::kInsert: return facts_.add_insert(target, origin, message_.new_cells);
    case PgMessageKind::kUpdate:
      return facts_.add_update(target, origin, old_image, message_.old_cells, message_.new_cells);
    default: return facts_.add_delete(target, origin, old_image, message_.old_cells);
  }
}

}  // namespace tributary
