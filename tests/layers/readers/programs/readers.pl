# Perl's readers. readers.pl READER PATH
use strict;
my ($reader, $path) = @ARGV;
binmode STDOUT;
if ($reader eq "IO::Uncompress::Gunzip") {
  require IO::Uncompress::Gunzip;
  IO::Uncompress::Gunzip::gunzip($path => "-") or die $IO::Uncompress::Gunzip::GunzipError;
} else {
  require Compress::Zlib;
  open my $file, "<:raw", $path or die $!;
  local $/; my $raw = <$file>;
  my $content = Compress::Zlib::memGunzip(\$raw);
  die "not read" unless defined $content;
  print $content;
}
