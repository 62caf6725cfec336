<?php
// PHP's readers: the tar, or with PharData the number of its files and links. readers.php READER PATH
ini_set("memory_limit", "2G");
[, $reader, $path] = $argv;
if ($reader === "gzdecode") {
    echo gzdecode(file_get_contents($path));
} elseif ($reader === "compress.zlib") {
    copy("compress.zlib://" . $path, "php://stdout");
} else {
    // It takes links for files, which cannot be read.
    $count = 0;
    foreach (new RecursiveIteratorIterator(new PharData($path)) as $file) {
        $count++;
    }
    echo $count, "\n";
}
