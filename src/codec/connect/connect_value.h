// One value of a row as Kafka Connect's JSON has it, into a column's cell.
//
//   ConnectValueReader reader(modes);
//   RETURN_IF_ERROR(reader.append(batch.columns[2], fields[2], value));
//
// What a value is in PostgreSQL's text form is what native capture would have read, so both give the same cells wherever the
// connector keeps the value (docs/formats/debezium.md names where it does not). Not thread-safe.
#pragma once

#include <simdjson.h>

#include <string>

#include "codec/connect/connect_form.h"
#include "model/column.h"

namespace tributary {

class ConnectValueReader {
 public:
  explicit ConnectValueReader(const ConnectModes& modes);

  // Appends one cell: null, absent for the placeholder of a value that was not sent, a value, or its text where the type
  // has no such value. kInvalidInput, with nothing appended: JSON of another form.
  Status append(Column& column, const ConnectField& field, simdjson::ondemand::value value);

 private:
  bool append_value(Column& column, const ConnectForm& form, simdjson::ondemand::value& value);
  bool append_plain_number(Column& column, simdjson::ondemand::value& value);
  bool append_plain_text(Column& column, std::string_view text);
  bool append_string(Column& column, const ConnectForm& form, std::string_view text);
  bool append_decimal(Column& column, const ConnectForm& form, std::string_view base64);
  bool append_timestamp(Column& column, const ConnectForm& form, int64_t number);
  bool append_as_text(Column& column, const ConnectForm& form, simdjson::ondemand::value& value);
  bool is_unavailable(const ConnectForm& form, std::string_view text) const;

  // PostgreSQL's text of a value that is not null, appended. False: JSON of another form.
  bool put_text(std::string& out, const ConnectForm& form, simdjson::ondemand::value& value);
  bool put_string_text(std::string& out, const ConnectForm& form, std::string_view text);
  bool put_number_text(std::string& out, const ConnectForm& form, simdjson::ondemand::value& value);
  bool put_array(std::string& out, const ConnectForm& element, simdjson::ondemand::value& value);
  bool put_map(std::string& out, simdjson::ondemand::value& value);
  bool put_object(std::string& out, const ConnectForm& form, simdjson::ondemand::value& value);

  std::string unavailable_;
  std::string unavailable_base64_;
  std::string unavailable_hex_;
  std::string spare_;
  std::string text_;
};

}  // namespace tributary
