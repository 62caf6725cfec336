# Tcl's reader. readers.tcl PATH
set file [open [lindex $argv 0] rb]
zlib push gunzip $file
fconfigure stdout -translation binary
fcopy $file stdout
