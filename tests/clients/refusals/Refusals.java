// Sends requests that are refused before their body is read, with java.net.http. The arguments are the base URL, the
// version, the file of a certificate, and for each request its method, path, content type and size; prints one line for
// each.
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Refusals {
    public static void main(String[] arguments) throws Exception {
        var version = HttpClient.Version.valueOf(arguments[1]);
        var client = HttpClient.newBuilder().version(version).sslContext(trusting(arguments[2])).build();
        for (int at = 3; at + 3 < arguments.length; at += 4) {
            var body = HttpRequest.BodyPublishers.ofByteArray(new byte[Integer.parseInt(arguments[at + 3])]);
            var request = HttpRequest.newBuilder(URI.create(arguments[0] + arguments[at + 1]))
                .timeout(Duration.ofSeconds(10)).header("content-type", arguments[at + 2])
                .method(arguments[at], body).build();
            try {
                System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
            } catch (Exception error) {
                System.out.println(error.getClass().getSimpleName());
            }
        }
        System.exit(0);
    }

    private static SSLContext trusting(String file) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var input = new FileInputStream(file)) {
            store.setCertificateEntry("test", CertificateFactory.getInstance("X.509").generateCertificate(input));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
