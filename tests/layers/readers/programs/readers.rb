# Ruby's readers: the tar, or with TarReader the sum of its files. readers.rb READER PATH
require "rubygems/package"
require "zlib"
reader, path = ARGV
File.open(path, "rb") do |file|
  gzip = Zlib::GzipReader.new(file)
  if reader == "GzipReader"
    $stdout.binmode
    while (chunk = gzip.read(1 << 20)) do $stdout.write(chunk) end
  else
    count = size = total = 0
    Gem::Package::TarReader.new(gzip).each do |entry|
      next unless ["0", "\0"].include?(entry.header.typeflag)
      content = entry.read || ""
      count += 1; size += content.bytesize; total += Zlib.crc32(content)
    end
    puts "#{count} #{size} #{total % (1 << 32)}"
  end
end
