#include "engine/engine_config.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace tributary {
namespace {

std::string escape_xml(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

}  // namespace

// So that neither an insert nor a merge begins that would meet the disk's end.
constexpr uint64_t kept_free_bytes = 64 << 20;

// Pools: by default some 150 threads idle. A background pool below 20 needs the merge_tree limits that count its free
// places lowered with it, or the engine refuses to create a table.
std::string engine_server_config(const EngineLimits& limits, const std::string& users_file,
                                 const std::string& empty_directory) {
  unsigned merges = std::max(2U, limits.threads);
  return fmt::format(R"(<clickhouse>
  <users_config>{users}</users_config>
  <user_files_path>{empty}/</user_files_path>
  <format_schema_path>{empty}/</format_schema_path>
  <user_scripts_path>{empty}/</user_scripts_path>
  <dictionaries_lib_path>{empty}/</dictionaries_lib_path>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <max_server_memory_usage_to_ram_ratio>0.9</max_server_memory_usage_to_ram_ratio>
  <mark_cache_size>{mark_cache}</mark_cache_size>
  <index_mark_cache_size>0</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <query_cache><max_size_in_bytes>0</max_size_in_bytes></query_cache>
  <max_concurrent_queries>100</max_concurrent_queries>
  <max_thread_pool_size>1000</max_thread_pool_size>
  <max_thread_pool_free_size>4</max_thread_pool_free_size>
  <max_io_thread_pool_size>16</max_io_thread_pool_size>
  <max_io_thread_pool_free_size>0</max_io_thread_pool_free_size>
  <max_active_parts_loading_thread_pool_size>4</max_active_parts_loading_thread_pool_size>
  <max_parts_cleaning_thread_pool_size>2</max_parts_cleaning_thread_pool_size>
  <background_pool_size>{merges}</background_pool_size>
  <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
  <background_move_pool_size>1</background_move_pool_size>
  <background_fetches_pool_size>1</background_fetches_pool_size>
  <background_common_pool_size>2</background_common_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
  <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
  <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
  <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
  <tables_loader_foreground_pool_size>2</tables_loader_foreground_pool_size>
  <tables_loader_background_pool_size>2</tables_loader_background_pool_size>
  <storage_configuration><disks><default>
    <keep_free_space_bytes>{kept_free}</keep_free_space_bytes>
  </default></disks></storage_configuration>
  <merge_tree>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>1</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>1</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>1</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
</clickhouse>
)",
                     fmt::arg("users", escape_xml(users_file)), fmt::arg("empty", escape_xml(empty_directory)),
                     fmt::arg("memory", limits.memory_bytes_max),
                     fmt::arg("mark_cache", std::min<uint64_t>(limits.memory_bytes_max / 16, 128 << 20)),
                     fmt::arg("merges", merges), fmt::arg("kept_free", kept_free_bytes));
}

// An empty <table name=""> stands for every table of its database; a table named as well gets both filters, joined by OR.
std::string engine_users_config(const EngineLimits& limits) {
  std::string owner = limits.walls ? fmt::format("currentDatabase() = '{}'", owner_database) : "1";
  return fmt::format(R"(<clickhouse>
  <profiles><default>
    <async_insert>0</async_insert>
    <max_threads>{threads}</max_threads>
    <max_insert_threads>1</max_insert_threads>
    <output_format_native_write_json_as_string>1</output_format_native_write_json_as_string>
  </default></profiles>
  <users><default>
    <password></password>
    <networks><ip>::/0</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
    <grants>
      <query>GRANT SELECT, INSERT, ALTER TABLE, ALTER VIEW, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP, TRUNCATE, OPTIMIZE, SHOW, KILL QUERY, SYSTEM ON *.*</query>
    </grants>
    <databases>
      <{database}><table name=""><filter>{owner} OR {column} = currentDatabase()</filter></table></{database}>
      <system>
        <table name=""><filter>{owner}</filter></table>
        <one><filter>1</filter></one>
        <tables><filter>database = currentDatabase()</filter></tables>
        <columns><filter>database = currentDatabase()</filter></columns>
      </system>
    </databases>
  </default></users>
  <quotas><default></default></quotas>
</clickhouse>
)",
                     fmt::arg("threads", limits.threads), fmt::arg("database", owner_database),
                     fmt::arg("column", client_column), fmt::arg("owner", owner));
}

uint64_t default_engine_memory_bytes() {
  auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  uint64_t memory = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::ifstream group("/sys/fs/cgroup/memory.max");  // "max", or bytes
  uint64_t limit = 0;
  if (group >> limit && limit > 0) memory = std::min(memory, limit);
  return std::min<uint64_t>(memory / 2, uint64_t{4} << 30);
}

}  // namespace tributary
