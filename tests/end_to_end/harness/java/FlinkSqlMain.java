import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.flink.table.api.TableResult;
import org.apache.flink.types.Row;
import org.apache.flink.util.CloseableIterator;

/**
 * Runs a SQL script in this process: `java FlinkSqlMain.java SCRIPT`. Statements end with a semicolon at a line's end.
 *
 * All INSERTs become one job, started at the script's end and awaited. A SELECT prints its changes, one a line: the kind
 * of change and the fields, between tabs. `STARTED` is printed when everything runs.
 */
public class FlinkSqlMain {
    public static void main(String[] arguments) throws Exception {
        TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.inStreamingMode());
        StatementSet inserts = tables.createStatementSet();
        List<String> selects = new ArrayList<>();
        boolean any = false;
        for (String part : Files.readString(Path.of(arguments[0])).split(";\\s*(\\n|$)")) {
            String statement = part.strip();
            String word = statement.split("\\s+")[0].toUpperCase();
            if (statement.isEmpty()) {
                continue;
            } else if (word.equals("SET")) {
                String[] setting = statement.substring(4).replace("'", "").split("=", 2);
                tables.getConfig().set(setting[0].strip(), setting[1].strip());
            } else if (word.equals("INSERT")) {
                inserts.addInsertSql(statement);
                any = true;
            } else if (word.equals("SELECT") || word.equals("WITH")) {
                selects.add(statement);
            } else {
                tables.executeSql(statement);
            }
        }
        TableResult job = any ? inserts.execute() : null;
        System.out.println("STARTED");
        for (String select : selects) {
            print(tables.executeSql(select));
        }
        if (job != null) {
            job.await();
        }
        System.exit(0);
    }

    private static void print(TableResult result) throws Exception {
        try (CloseableIterator<Row> rows = result.collect()) {
            while (rows.hasNext()) {
                Row row = rows.next();
                StringBuilder line = new StringBuilder("ROW\t" + row.getKind().shortString());
                for (int i = 0; i < row.getArity(); ++i) {
                    Object field = row.getField(i);
                    String text = field == null ? "NULL" : field.toString();
                    line.append("\t").append(text.replace("\t", " ").replace("\n", " "));
                }
                System.out.println(line);
            }
        }
    }
}
