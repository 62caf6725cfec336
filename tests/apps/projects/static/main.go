package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() { <-ended; os.Exit(0) }()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		where, _ := os.Getwd()
		_, err := os.Stat("/etc/ssl/certs/ca-certificates.crt")
		fmt.Fprintf(w, "static %s %d %s %t", runtime.GOARCH, os.Getuid(), where, err == nil)
	})
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
