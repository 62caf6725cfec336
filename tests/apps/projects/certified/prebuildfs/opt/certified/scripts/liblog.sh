info() { echo "INFO $*"; }
