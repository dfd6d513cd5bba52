// Which event log a pipeline has, and with what options.
#pragma once

#include "app/stages.h"
#include "config/pipeline.h"
#include "log/kafka/kafka_log.h"
#include "storage/storage.h"

namespace tributary {

bool is_kafka(const LogConfig& log);
// `stages`: what this process runs.
Result<std::unique_ptr<KafkaLog>> open_kafka_log(const Pipeline& pipeline, Stages stages);
// Why the log cannot be used as the pipeline file has it, for `check --connect`. Nothing is made or changed.
std::vector<std::string> log_troubles(const Pipeline& pipeline);

// A data directory belongs to the kind of log that it was made with: offsets of one say nothing of another.
// kAlreadyExists: `at` is another kind.
Status keep_log_kind(Storage& storage, const std::string& at);

}  // namespace tributary
