import java.io.FileInputStream;
import java.io.InputStream;
import java.util.zip.GZIPInputStream;

/** Java's reader. java Reader.java PATH */
public class Reader {
    public static void main(String[] arguments) throws Exception {
        try (InputStream content = new GZIPInputStream(new FileInputStream(arguments[0]))) {
            content.transferTo(System.out);
        }
        System.out.flush();
    }
}
