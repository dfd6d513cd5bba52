import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import io.netty.channel.Channel;
import java.net.InetSocketAddress;

/**
 * mongo-java-server on a port of our choice: `java MongoMain.java FILE PORT`. Its own main has a fixed port, and writes
 * to the file once a second: what it acknowledged since then is gone after SIGKILL. Here every answer comes after that.
 */
public class MongoMain {
    static class Backend extends H2Backend {
        Backend(String file) {
            super(file);
        }

        @Override
        public Document handleMessage(MongoMessage message) {
            Document answer = super.handleMessage(message);
            commit();
            return answer;
        }

        @Override
        public Document handleCommand(Channel channel, String database, String command, Document query) {
            Document answer = super.handleCommand(channel, database, command, query);
            commit();
            return answer;
        }
    }

    public static void main(String[] arguments) {
        MongoServer server = new MongoServer(new Backend(arguments[0]));
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[1])));
    }
}
