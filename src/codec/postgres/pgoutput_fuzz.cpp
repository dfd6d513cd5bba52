// libFuzzer: any bytes as a replication message, then as rows of a two-column table, a COPY line and a peeked row.
#include "codec/postgres/copy_text.h"
#include "codec/postgres/pgoutput.h"
#include "codec/postgres/row_facts.h"

using namespace tributary;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TableTarget target = [] {
    auto schema = std::make_shared<TableSchema>();
    schema->table = "public.orders";
    schema->columns = {{"id", {TypeId::kDecimal, 12, 2}, "numeric(12,2)", true, false},
                       {"at", {TypeId::kTimestampTz}, "timestamp with time zone", false, false}};
    schema->key_columns = {0};
    return TableTarget{schema, "orders"};
  }();
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  PgMessage message;
  ServerText text;
  RowFacts facts(ClientId("acme"), text);
  if (decode_pgoutput(bytes, size % 2 == 0, message).ok()) {
    if (message.kind == PgMessageKind::kInsert) (void)facts.add_insert(target, {}, message.new_cells);
    if (message.kind == PgMessageKind::kUpdate) {
      (void)facts.add_update(target, {}, message.old_image, message.old_cells, message.new_cells);
    }
    if (message.kind == PgMessageKind::kDelete)
      (void)facts.add_delete(target, {}, message.old_image, message.old_cells);
  }
  std::vector<PgCell> cells;
  std::string scratch;
  if (split_copy_line(bytes, 2, cells, scratch).ok()) (void)facts.add_snapshot(target, {}, cells);
  for (const EventBatch& batch : facts.take()) CHECK(batch.validate().ok());
  PeekRowReader reader;
  (void)reader.read(bytes);
  return 0;
}
