package main

import (
	"fmt"
	"os"
	"runtime"
)

var version = "none"

func main() {
	fmt.Println("builderctl", version, runtime.GOOS+"/"+runtime.GOARCH, os.Getuid(), os.Args[1:])
}
